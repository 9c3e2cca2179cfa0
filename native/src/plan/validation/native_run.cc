#include <algorithm>
#include <string>
#include <utility>

#include "plan/partition.h"
#include "plan/traits.h"
#include "plan/validation/symbolic_run.h"

namespace smddp {
namespace {

using Parties = std::vector<NativeParty>;
using Cells = std::vector<Cell>;

Status invalid(const std::string& what) { return {StatusCode::kInvalidArgument, what}; }

bool same(const Part& a, const Part& b) { return a.offset == b.offset && a.count == b.count; }
bool same(const std::vector<Part>& a, const std::vector<Part>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Part& x, const Part& y) { return same(x, y); });
}

/// Writes wait until everything was read, since `in` and `out` may share memory.
struct Write {
  SymbolicMemory* memory;
  Range target;
  Cells cells;
};

class NativeRun {
 public:
  NativeRun(ExpressionTable& expressions, const Parties& parties)
      : expressions_(expressions), parties_(parties), first_(*parties[0].step) {}

  Status run() {
    SMDDP_RETURN_IF_ERROR(check_agreement());
    SMDDP_RETURN_IF_ERROR(move_data());
    for (const Write& write : writes_) write.memory->write(write.target, write.cells);
    return {};
  }

 private:
  const NativeStep& step(std::size_t local) const { return *parties_[local].step; }
  std::size_t ranks() const { return parties_.size(); }
  std::size_t root() const { return static_cast<std::size_t>(first_.root); }

  Status check_agreement() const {
    const bool needs_in_parts = first_.collective == Collective::kReduceScatter ||
                                first_.collective == Collective::kScatter;
    const bool needs_out_parts =
        first_.collective == Collective::kAllGather || first_.collective == Collective::kGather;
    for (const NativeParty& party : parties_) {
      const NativeStep& other = *party.step;
      if (other.collective != first_.collective) return invalid("ranks run different collectives");
      if (other.root != first_.root) return invalid("ranks name different roots");
      if (is_reducing(first_.collective) && (other.reduction.op != first_.reduction.op ||
                                             other.reduction.divisor != first_.reduction.divisor)) {
        return invalid("ranks name different reductions");
      }
      // Only the root of a scatter has an `in`, and only that of a gather an `out`.
      const bool same_in =
          first_.collective == Collective::kScatter || other.in.count == first_.in.count;
      if (needs_in_parts && (!same_in || !same(other.in_parts, first_.in_parts))) {
        return invalid("ranks cut `in` differently");
      }
      const bool same_out =
          first_.collective == Collective::kGather || other.out.count == first_.out.count;
      if (types_of(party) != types_of(parties_[0])) return invalid("ranks name different dtypes");
      if (needs_out_parts && (!same_out || !same(other.out_parts, first_.out_parts))) {
        return invalid("ranks cut `out` differently");
      }
    }
    return {};
  }

  /// Of `in` and of `out`.
  static std::pair<DType, DType> types_of(const NativeParty& party) {
    const Buffers& buffers = party.memory->buffers();
    return {buffers.dtype_of(party.step->in), buffers.dtype_of(party.step->out)};
  }

  Status move_data() {
    switch (first_.collective) {
      case Collective::kBarrier:
        return {};
      case Collective::kAllReduce:
      case Collective::kReduce:
        return reduce();
      case Collective::kReduceScatter:
        return reduce_scatter();
      case Collective::kBroadcast:
        return broadcast();
      case Collective::kAllGather:
      case Collective::kGather:
        return gather();
      case Collective::kScatter:
        return scatter();
      case Collective::kAllToAll:
        return exchange();
    }
    return invalid("unknown collective");
  }

  /// Adds the cells of `source` in the memory of local rank `from` to `list`.
  Status read(std::size_t from, const Range& source, std::vector<Cells>& list) const {
    Result<Cells> cells = parties_[from].memory->read(source);
    if (!cells.ok()) return cells.status();
    list.push_back(std::move(cells).value());
    return {};
  }

  Status write(std::size_t to, const Range& target, Cells cells) {
    if (target.count != cells.size()) return invalid("counts of source and target differ");
    writes_.push_back({parties_[to].memory, target, std::move(cells)});
    return {};
  }

  Status reduce() {
    std::vector<Cells> sources;
    for (std::size_t j = 0; j < ranks(); ++j) {
      if (step(j).in.count != first_.in.count) return invalid("ranks bring different counts");
      SMDDP_RETURN_IF_ERROR(read(j, step(j).in, sources));
    }
    Result<Cells> result =
        combine(expressions_, sources, first_.reduction, types_of(parties_[0]).second);
    if (!result.ok()) return result.status();
    for (std::size_t j = 0; j < ranks(); ++j) {
      if (first_.collective == Collective::kReduce && j != root()) continue;
      SMDDP_RETURN_IF_ERROR(write(j, step(j).out, result.value()));
    }
    return {};
  }

  Status reduce_scatter() {
    for (std::size_t owner = 0; owner < ranks(); ++owner) {
      std::vector<Cells> sources;
      for (std::size_t j = 0; j < ranks(); ++j) {
        SMDDP_RETURN_IF_ERROR(read(j, slice(step(j).in, first_.in_parts[owner]), sources));
      }
      Result<Cells> result =
          combine(expressions_, sources, first_.reduction, types_of(parties_[0]).second);
      if (!result.ok()) return result.status();
      SMDDP_RETURN_IF_ERROR(write(owner, step(owner).out, result.value()));
    }
    return {};
  }

  Status broadcast() {
    std::vector<Cells> source;
    SMDDP_RETURN_IF_ERROR(read(root(), step(root()).in, source));
    for (std::size_t j = 0; j < ranks(); ++j) {
      SMDDP_RETURN_IF_ERROR(write(j, step(j).out, source[0]));
    }
    return {};
  }

  Status gather() {
    std::vector<Cells> blocks;
    for (std::size_t j = 0; j < ranks(); ++j) {
      SMDDP_RETURN_IF_ERROR(read(j, step(j).in, blocks));
    }
    for (std::size_t to = 0; to < ranks(); ++to) {
      if (first_.collective == Collective::kGather && to != root()) continue;
      for (std::size_t j = 0; j < ranks(); ++j) {
        SMDDP_RETURN_IF_ERROR(write(to, slice(step(to).out, first_.out_parts[j]), blocks[j]));
      }
    }
    return {};
  }

  Status scatter() {
    for (std::size_t to = 0; to < ranks(); ++to) {
      std::vector<Cells> block;
      SMDDP_RETURN_IF_ERROR(read(root(), slice(step(root()).in, first_.in_parts[to]), block));
      SMDDP_RETURN_IF_ERROR(write(to, step(to).out, std::move(block[0])));
    }
    return {};
  }

  Status exchange() {
    for (std::size_t from = 0; from < ranks(); ++from) {
      for (std::size_t to = 0; to < ranks(); ++to) {
        std::vector<Cells> block;
        SMDDP_RETURN_IF_ERROR(read(from, slice(step(from).in, step(from).in_parts[to]), block));
        const Range target = slice(step(to).out, step(to).out_parts[from]);
        SMDDP_RETURN_IF_ERROR(write(to, target, std::move(block[0])));
      }
    }
    return {};
  }

  ExpressionTable& expressions_;
  const Parties& parties_;
  const NativeStep& first_;
  std::vector<Write> writes_;
};

}  // namespace

Status run_native(ExpressionTable& expressions, const std::vector<NativeParty>& parties) {
  return NativeRun(expressions, parties).run();
}

}  // namespace smddp
