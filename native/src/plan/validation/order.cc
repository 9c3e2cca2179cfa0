#include "plan/validation/order.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace smddp {
namespace {

Status invalid(const std::string& what) { return {StatusCode::kInvalidArgument, what}; }

/// For each step the set of steps that are complete when it starts.
class Ancestors {
 public:
  explicit Ancestors(std::size_t steps)
      : words_((steps + 63) / 64), bits_(steps * words_, std::uint64_t{0}) {}

  void add(std::size_t step, std::size_t earlier) {
    std::uint64_t* row = &bits_[step * words_];
    const std::uint64_t* other = &bits_[earlier * words_];
    for (std::size_t word = 0; word < words_; ++word) row[word] |= other[word];
    row[earlier / 64] |= std::uint64_t{1} << (earlier % 64);
  }
  bool contains(std::size_t step, std::size_t earlier) const {
    return (bits_[step * words_ + earlier / 64] >> (earlier % 64) & 1) != 0;
  }

 private:
  std::size_t words_;
  std::vector<std::uint64_t> bits_;
};

bool any_overlap(const std::vector<Interval>& some, const std::vector<Interval>& others) {
  for (const Interval& a : some) {
    for (const Interval& b : others) {
      if (a.overlaps(b)) return true;
    }
  }
  return false;
}

bool conflict(const Accesses& a, const Accesses& b) {
  return any_overlap(a.writes, b.writes) || any_overlap(a.writes, b.reads) ||
         any_overlap(a.reads, b.writes);
}

std::string pair_text(const Plan& plan, std::size_t earlier, std::size_t later) {
  return "step " + std::to_string(earlier) + " (" + to_string(plan.steps[earlier]) + ") and step " +
         std::to_string(later) + " (" + to_string(plan.steps[later]) + ")";
}

}  // namespace

Status check_order(const Plan& plan, const std::vector<Accesses>& accesses) {
  const std::size_t count = plan.steps.size();
  Ancestors ancestors(count);
  std::size_t last_native = count;
  for (std::size_t step = 0; step < count; ++step) {
    for (const std::uint32_t earlier : plan.steps[step].after) {
      if (earlier >= step)
        return invalid("step " + std::to_string(step) + " waits for a later step");
      ancestors.add(step, earlier);
    }
    if (plan.steps[step].kind == StepKind::kNative) {
      if (last_native != count && !ancestors.contains(step, last_native)) {
        return invalid("native steps are not ordered: " + pair_text(plan, last_native, step));
      }
      last_native = step;
    }
    for (std::size_t earlier = 0; earlier < step; ++earlier) {
      if (conflict(accesses[earlier], accesses[step]) && !ancestors.contains(step, earlier)) {
        return invalid("race between " + pair_text(plan, earlier, step));
      }
    }
  }
  return {};
}

}  // namespace smddp
