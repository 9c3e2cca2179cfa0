#include "plan/builder.h"

#include <algorithm>
#include <utility>

namespace smddp {

void Steps::add(StepId id) {
  const auto place = std::lower_bound(ids_.begin(), ids_.end(), id);
  if (place == ids_.end() || *place != id) ids_.insert(place, id);
}

void Steps::add(const Steps& others) {
  for (const StepId id : others.ids_) add(id);
}

PlanBuilder::PlanBuilder(std::string algorithm, const CollectiveSpec& spec)
    : PlanBuilder(std::move(algorithm)) {
  dtype_ = spec.dtype;
  plan_.partials = partials_of(spec);
}

Range PlanBuilder::scratch(std::size_t count) {
  const Range range{Space::kScratch, plan_.scratch_count, count};
  plan_.scratch_count += count;
  return range;
}

Range PlanBuilder::partials(std::size_t count) {
  const Range range{Space::kPartials, plan_.partial_count, count};
  plan_.partial_count += count;
  return range;
}

Range PlanBuilder::beside(const Range& other, std::size_t count) {
  return other.space == Space::kPartials ? partials(count) : scratch(count);
}

StepId PlanBuilder::send(Rank peer, const Range& source, const Steps& after) {
  Step step;
  step.kind = StepKind::kSend;
  step.peer = peer;
  step.sources = {source};
  return add(std::move(step), after);
}

StepId PlanBuilder::recv(Rank peer, const Range& target, const Steps& after) {
  Step step;
  step.kind = StepKind::kRecv;
  step.peer = peer;
  step.target = target;
  return add(std::move(step), after);
}

StepId PlanBuilder::reduce(std::vector<Range> sources, const Range& target,
                           const Reduction& reduction, const Steps& after) {
  Step step;
  step.kind = StepKind::kReduce;
  step.sources = std::move(sources);
  step.target = target;
  step.reduction = reduction;
  return add(std::move(step), after);
}

StepId PlanBuilder::copy(const Range& source, const Range& target, const Steps& after) {
  Step step;
  step.kind = StepKind::kCopy;
  step.sources = {source};
  step.target = target;
  return add(std::move(step), after);
}

StepId PlanBuilder::native(NativeStep native_step, const Steps& after) {
  Steps needed = after;
  if (last_native_) needed.add(*last_native_);
  Step step;
  step.kind = StepKind::kNative;
  step.native = std::move(native_step);
  last_native_ = add(std::move(step), needed);
  return *last_native_;
}

StepId PlanBuilder::add(Step step, const Steps& after) {
  step.after = after.sorted();
  plan_.steps.push_back(std::move(step));
  return static_cast<StepId>(plan_.steps.size() - 1);
}

}  // namespace smddp
