#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "plan/spec.h"

namespace smddp {

using StepId = std::uint32_t;  ///< index into Plan::steps

/// A set of steps that something waits for; adding one twice is harmless.
class Steps {
 public:
  Steps() = default;
  Steps(std::initializer_list<StepId> ids) {
    for (const StepId id : ids) add(id);
  }

  void add(StepId id);
  void add(const Steps& others);
  const std::vector<StepId>& sorted() const { return ids_; }

 private:
  std::vector<StepId> ids_;
};

/// Writes a plan step by step. Each method appends one step that starts when all of `after` are
/// complete, and returns its index.
class PlanBuilder {
 public:
  /// Of a plan without partial sums.
  explicit PlanBuilder(std::string algorithm) { plan_.algorithm = std::move(algorithm); }
  /// Of one that adds up for `spec`.
  PlanBuilder(std::string algorithm, const CollectiveSpec& spec);

  /// Reserves `count` elements of scratch that no other range uses.
  Range scratch(std::size_t count);
  /// The same for partial sums.
  Range partials(std::size_t count);
  /// Room for what is added to `other`: both are partial sums, or neither is.
  Range beside(const Range& other, std::size_t count);
  /// Whether partial sums are of a wider dtype than contributions.
  bool widens() const { return plan_.partials != dtype_; }

  StepId send(Rank peer, const Range& source, const Steps& after = {});
  StepId recv(Rank peer, const Range& target, const Steps& after = {});
  StepId reduce(std::vector<Range> sources, const Range& target, const Reduction& reduction,
                const Steps& after = {});
  /// The executor skips it when source and target are the same memory. A target of partial sums may
  /// be wider than the source.
  StepId copy(const Range& source, const Range& target, const Steps& after = {});
  /// Waits for the previous native step too: a host's ranks meet in one native step at a time.
  StepId native(NativeStep step, const Steps& after = {});

  Plan finish() && { return std::move(plan_); }

 private:
  StepId add(Step step, const Steps& after);

  Plan plan_;
  DType dtype_ = DType::kFloat32;  ///< of contributions; as Plan::partials unless that is wider
  std::optional<StepId> last_native_;
};

}  // namespace smddp
