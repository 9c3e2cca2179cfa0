#include <algorithm>
#include <string>

#include "plan/validation/symbolic_run.h"

namespace smddp {

SymbolicMemory::SymbolicMemory(const Buffers& buffers, Rank self, ExpressionTable& expressions)
    : buffers_(buffers) {
  for (int piece = 0; piece < Buffers::kPieces; ++piece) pieces_.emplace_back(buffers.size(piece));
  std::vector<Cell> in(buffers.in_count());
  for (std::size_t i = 0; i < in.size(); ++i) {
    in[i] = {expressions.leaf(self), static_cast<std::uint32_t>(i)};
  }
  write({Space::kIn, 0, in.size()}, in);
}

Result<std::vector<Cell>> SymbolicMemory::read(const Range& range) const {
  Result<Interval> place = buffers_.locate(range);
  if (!place.ok()) return place.status();
  const auto& [memory, begin, end] = place.value();
  const Cell* base = pieces_[static_cast<std::size_t>(memory)].data();
  std::vector<Cell> cells(base + begin, base + end);
  const auto hole = std::find_if(cells.begin(), cells.end(), [](const Cell& cell) {
    return cell.value == ExpressionTable::kNothing;
  });
  if (hole == cells.end()) return cells;
  const auto at = range.offset + static_cast<std::size_t>(hole - cells.begin());
  return Status(StatusCode::kInvalidArgument,
                "element " + std::to_string(at) + " is read but was never written");
}

void SymbolicMemory::write(const Range& range, const std::vector<Cell>& cells) {
  const Result<Interval> place = buffers_.locate(range);
  const auto& [memory, begin, end] = place.value();
  std::copy(cells.begin(), cells.end(), pieces_[static_cast<std::size_t>(memory)].data() + begin);
}

Result<std::vector<Cell>> combine(ExpressionTable& expressions,
                                  const std::vector<std::vector<Cell>>& sources,
                                  const Reduction& reduction, DType stored) {
  const bool rounds = rounds_when_stored(reduction.op, stored);
  std::vector<Cell> result(sources[0].size());
  std::vector<ExpressionTable::Id> values(sources.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i].index = sources[0][i].index;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      values[s] = sources[s][i].value;
      if (sources[s][i].index == result[i].index) continue;
      return Status(StatusCode::kInvalidArgument, "element " + std::to_string(result[i].index) +
                                                      " is combined with element " +
                                                      std::to_string(sources[s][i].index));
    }
    result[i].value = expressions.canonical(values);
    if (reduction.divisor > 1) result[i].value = expressions.divide(result[i].value);
    if (rounds) result[i].value = expressions.round(result[i].value);
    if (std::string fault = expressions.fault(result[i].value); !fault.empty()) {
      return Status(StatusCode::kInvalidArgument, fault);
    }
  }
  return result;
}

}  // namespace smddp
