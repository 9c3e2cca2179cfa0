#include "plan/validate.h"

#include <string>

#include "plan/algorithm.h"
#include "plan/partition.h"
#include "plan/validation/symbolic_run.h"

namespace smddp {
namespace {

constexpr int kMaxWorld = 64;  // ranks are bits of one word

Status invalid(const std::string& what) { return {StatusCode::kInvalidArgument, what}; }

/// Whether canonical sums inside the hosts, then over the hosts, make up the canonical tree over
/// all ranks: hosts hold consecutive ranks, each a power of two of them; only the last may have
/// fewer.
bool is_aligned(const Placement& placement) {
  const std::size_t per_host = placement.ranks_on(0).size();
  if (placement.hosts() > 1 && (per_host & (per_host - 1)) != 0) return false;
  for (int host = 0; host < placement.hosts(); ++host) {
    const std::vector<Rank>& ranks = placement.ranks_on(host);
    const bool is_last = host == placement.hosts() - 1;
    if (is_last ? ranks.size() > per_host : ranks.size() != per_host) return false;
    const auto first = static_cast<Rank>(static_cast<std::size_t>(host) * per_host);
    if (ranks.front() != first) return false;
    if (ranks.back() - first + 1 != static_cast<Rank>(ranks.size())) return false;
  }
  return true;
}

/// Compares what the ranks hold with what the collective promises.
class Promise {
 public:
  /// `has_order`: sums must be canonical where the placement is aligned.
  Promise(const std::vector<CollectiveSpec>& specs, const Placement& placement, bool has_order,
          Outcome& outcome)
      : specs_(specs),
        placement_(placement),
        has_order_(has_order && is_aligned(placement)),
        rounds_once_(placement.world() > 1 && partials_of(specs[0]) != specs[0].dtype),
        outcome_(outcome),
        expressions_(outcome.expressions) {}

  Status check() {
    for (Rank rank = 0; rank < placement_.world(); ++rank) {
      const Status status = check_rank(rank);
      if (!status.ok())
        return invalid("result of rank " + std::to_string(rank) + ": " + status.message());
    }
    return {};
  }

 private:
  const CollectiveSpec& spec_of(Rank rank) const { return specs_[static_cast<std::size_t>(rank)]; }
  const std::vector<Cell>& out_of(Rank rank) const {
    return outcome_.out[static_cast<std::size_t>(rank)];
  }

  Status check_rank(Rank rank) {
    const CollectiveSpec& spec = spec_of(rank);
    switch (spec.collective) {
      case Collective::kAllReduce:
        SMDDP_RETURN_IF_ERROR(check_reduced(rank, 0));
        return out_of(rank) == out_of(0) ? Status{} : invalid("bits differ from those of rank 0");
      case Collective::kReduce:
        return rank == spec.root ? check_reduced(rank, 0) : Status{};
      case Collective::kReduceScatter:
        return check_reduced(rank, blocks_of(spec.counts)[static_cast<std::size_t>(rank)].offset);
      case Collective::kBroadcast:
        return check_block(rank, {0, spec.count}, spec.root, 0);
      case Collective::kAllGather:
        return check_gathered(rank);
      case Collective::kAllToAll:
        return check_exchanged(rank);
      case Collective::kBarrier:
        return check_entered(rank);
      case Collective::kGather:
        return rank == spec.root ? check_gathered(rank) : Status{};
      case Collective::kScatter: {
        const Part block = blocks_of(spec.counts)[static_cast<std::size_t>(rank)];
        return check_block(rank, {0, block.count}, spec.root, block.offset);
      }
    }
    return invalid("unknown collective");
  }

  /// `out` holds the reduction of elements `offset`... of all ranks' `in`.
  Status check_reduced(Rank rank, std::size_t offset) {
    const std::vector<Cell>& out = out_of(rank);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (out[i].index != offset + i) return invalid(wrong(i, out[i]));
      SMDDP_RETURN_IF_ERROR(check_sum(out[i].value));
    }
    return {};
  }

  Status check_sum(ExpressionTable::Id value) {
    if (value == accepted_) return {};
    const int world = placement_.world();
    const std::uint64_t everybody = ~std::uint64_t{0} >> (kMaxWorld - world);
    const bool divide = spec_of(0).op == ReduceOp::kAverage && world > 1;
    const std::string text = expressions_.to_string(value);
    if (expressions_.ranks(value) != everybody)
      return invalid("contributions are missing in " + text);
    if (std::string fault = expressions_.fault(value); !fault.empty()) return invalid(fault);
    if (expressions_.is_divided(value) != divide) {
      return invalid((divide ? "not divided: " : "divided though it is no average: ") + text);
    }
    if (has_order_ && expressions_.unrounded(value) != flat_tree(divide)) {
      return invalid("not the canonical order: " + text);
    }
    if (rounds_once_ && expressions_.roundings(value) != 1)
      return invalid("not rounded exactly once: " + text);
    accepted_ = value;
    return {};
  }

  ExpressionTable::Id flat_tree(bool divide) {
    std::vector<ExpressionTable::Id> leaves;
    for (Rank rank = 0; rank < placement_.world(); ++rank)
      leaves.push_back(expressions_.leaf(rank));
    const ExpressionTable::Id sum = expressions_.canonical(leaves);
    return divide ? expressions_.divide(sum) : sum;
  }

  /// `out[block]` holds elements `first`... of the `in` of rank `source`.
  Status check_block(Rank rank, const Part& block, Rank source, std::size_t first) {
    const ExpressionTable::Id leaf = expressions_.leaf(source);
    for (std::size_t i = 0; i < block.count; ++i) {
      const Cell& cell = out_of(rank)[block.offset + i];
      if (cell.value != leaf || cell.index != first + i)
        return invalid(wrong(block.offset + i, cell));
    }
    return {};
  }

  Status check_gathered(Rank rank) {
    const std::vector<Part> blocks = blocks_of(spec_of(rank).counts);
    for (Rank source = 0; source < placement_.world(); ++source) {
      SMDDP_RETURN_IF_ERROR(check_block(rank, blocks[static_cast<std::size_t>(source)], source, 0));
    }
    return {};
  }

  Status check_exchanged(Rank rank) {
    const std::vector<Part> blocks = blocks_of(spec_of(rank).counts);
    for (Rank source = 0; source < placement_.world(); ++source) {
      const std::vector<Part> sent = blocks_of(spec_of(source).send_counts);
      const std::size_t first = sent[static_cast<std::size_t>(rank)].offset;
      SMDDP_RETURN_IF_ERROR(
          check_block(rank, blocks[static_cast<std::size_t>(source)], source, first));
    }
    return {};
  }

  Status check_entered(Rank rank) const {
    const std::uint64_t entered = outcome_.entered[static_cast<std::size_t>(rank)];
    for (Rank other = 0; other < placement_.world(); ++other) {
      if ((entered >> other & 1) == 0) {
        return invalid("it may leave before rank " + std::to_string(other) + " has entered");
      }
    }
    return {};
  }

  std::string wrong(std::size_t position, const Cell& cell) const {
    return "element " + std::to_string(position) + " holds element " + std::to_string(cell.index) +
           " of " + expressions_.to_string(cell.value);
  }

  const std::vector<CollectiveSpec>& specs_;
  const Placement& placement_;
  const bool has_order_;
  const bool rounds_once_;
  Outcome& outcome_;
  ExpressionTable& expressions_;
  ExpressionTable::Id accepted_ = ExpressionTable::kNothing;  ///< a sum that was checked already
};

}  // namespace

Status validate_plans(const std::vector<Plan>& plans, const std::vector<CollectiveSpec>& specs,
                      const Placement& placement, bool in_place) {
  if (placement.world() < 1 || placement.world() > kMaxWorld) {
    return invalid("plans are validated for worlds of 1 to " + std::to_string(kMaxWorld) +
                   " ranks");
  }
  Result<Outcome> outcome = run_symbolically(plans, specs, placement, in_place);
  if (!outcome.ok()) return outcome.status();
  const Algorithm* known = find_algorithm(specs[0].collective, plans[0].algorithm);
  const bool has_order = known == nullptr || known->order != SumOrder::kOther;
  return Promise(specs, placement, has_order, outcome.value()).check();
}

}  // namespace smddp
