#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "smddp/status.h"

#include "plan/plan.h"
#include "plan/planner.h"
#include "plan/validation/buffers.h"
#include "plan/validation/expression.h"
#include "topology/placement.h"

namespace smddp {

/// One element of symbolic memory: which contributions it holds and which element of the
/// contributors' `in` it stands for. Only equal indices may be combined.
struct Cell {
  ExpressionTable::Id value = ExpressionTable::kNothing;
  std::uint32_t index = 0;

  friend bool operator==(const Cell&, const Cell&) = default;
};

/// Symbolic memory of one rank.
class SymbolicMemory {
 public:
  SymbolicMemory(const Buffers& buffers, Rank self, ExpressionTable& expressions);

  /// Fails when an element was never written.
  Result<std::vector<Cell>> read(const Range& range) const;
  /// Ranges were checked by accesses_of, counts agree.
  void write(const Range& range, const std::vector<Cell>& cells);
  const Buffers& buffers() const { return buffers_; }

 private:
  Buffers buffers_;
  std::vector<std::vector<Cell>> pieces_;
};

/// What all ranks hold and know after a run.
struct Outcome {
  ExpressionTable expressions;
  std::vector<std::vector<Cell>> out;  ///< by rank
  /// Bit q of entry r: rank r cannot have finished before rank q entered the collective.
  std::vector<std::uint64_t> entered;
};

/// Runs the plans of all ranks with messages that complete only when both sides are there (the
/// strictest transport), after checking each rank's steps for form and races. Fails on deadlock, on
/// messages or native steps that do not fit together, on unwritten elements and on wrong
/// arithmetic.
Result<Outcome> run_symbolically(const std::vector<Plan>& plans,
                                 const std::vector<CollectiveSpec>& specs,
                                 const Placement& placement, bool in_place);

/// Combines vectors element by element in the canonical tree, then divides if `divisor` is above 1,
/// then rounds if elements of `stored` need it.
Result<std::vector<Cell>> combine(ExpressionTable& expressions,
                                  const std::vector<std::vector<Cell>>& sources,
                                  const Reduction& reduction, DType stored);

/// A rank's part in a native step.
struct NativeParty {
  const NativeStep* step = nullptr;
  SymbolicMemory* memory = nullptr;
};

/// Checks that the ranks of a host called the same native step and applies its post-condition.
Status run_native(ExpressionTable& expressions, const std::vector<NativeParty>& parties);

}  // namespace smddp
