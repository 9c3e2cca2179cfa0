#include <ostream>
#include <sstream>
#include <string>
#include <string_view>

#include "plan/plan.h"
#include "plan/traits.h"

namespace smddp {
namespace {

std::string_view name_of(Space space) {
  switch (space) {
    case Space::kIn:
      return "in";
    case Space::kOut:
      return "out";
    case Space::kScratch:
      return "scratch";
    case Space::kPartials:
      return "partials";
    case Space::kNone:
      break;
  }
  return "nothing";
}

/// "out[4, 8)"
std::ostream& operator<<(std::ostream& text, const Range& range) {
  text << name_of(range.space);
  if (range.space == Space::kNone) return text;
  return text << '[' << range.offset << ", " << range.offset + range.count << ')';
}

/// "sum", "sum/4"
std::ostream& operator<<(std::ostream& text, const Reduction& reduction) {
  text << smddp::name_of(reduction.op);
  if (reduction.divisor > 1) text << '/' << reduction.divisor;
  return text;
}

/// " in_parts 0+4 4+4": offset+count by local rank
void put_parts(std::ostream& text, std::string_view name, const std::vector<Part>& parts) {
  if (parts.empty()) return;
  text << ' ' << name;
  for (const Part& part : parts) text << ' ' << part.offset << '+' << part.count;
}

std::ostream& operator<<(std::ostream& text, const NativeStep& native) {
  text << "native " << smddp::name_of(native.collective);
  if (is_reducing(native.collective)) text << ' ' << native.reduction;
  if (is_rooted(native.collective)) text << " root " << native.root;
  if (native.collective == Collective::kBarrier) return text;
  text << ' ' << native.in << " -> " << native.out;
  put_parts(text, "in_parts", native.in_parts);
  put_parts(text, "out_parts", native.out_parts);
  return text;
}

std::ostream& operator<<(std::ostream& text, const Step& step) {
  switch (step.kind) {
    case StepKind::kSend:
      text << "send";
      break;
    case StepKind::kRecv:
      text << "recv rank " << step.peer << " -> " << step.target;
      break;
    case StepKind::kReduce:
      text << "reduce " << step.reduction;
      break;
    case StepKind::kCopy:
      text << "copy";
      break;
    case StepKind::kNative:
      text << step.native;
      break;
  }
  for (const Range& source : step.sources) text << ' ' << source;
  if (step.kind == StepKind::kSend) text << " -> rank " << step.peer;
  if (step.kind == StepKind::kReduce || step.kind == StepKind::kCopy) text << " -> " << step.target;
  if (!step.after.empty()) text << ", after";
  for (const std::uint32_t id : step.after) text << ' ' << id;
  return text;
}

}  // namespace

std::string to_string(const Step& step) {
  std::ostringstream text;
  text << step;
  return text.str();
}

std::string to_string(const Plan& plan) {
  std::ostringstream text;
  text << plan.algorithm << ": " << plan.steps.size() << " steps, scratch " << plan.scratch_count;
  if (plan.partial_count > 0)
    text << ", partials " << plan.partial_count << ' ' << smddp::name_of(plan.partials);
  text << '\n';
  for (std::size_t i = 0; i < plan.steps.size(); ++i) text << i << ": " << plan.steps[i] << '\n';
  return text.str();
}

}  // namespace smddp
