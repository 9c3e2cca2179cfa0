#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "smddp/types.h"

namespace smddp::test {

using Bytes = std::vector<std::byte>;

struct Reduction {
  DType dtype;
  ReduceOp op;
  int divisor = 1;
  std::optional<DType> target{};  ///< of the result, where it is another one

  DType target_dtype() const { return target.value_or(dtype); }
};

/// What `reduce_sources` must write, bit by bit: element after element, one operation after the
/// other. All sources are equally long; only the first `source_count` count.
Bytes expected_result(const Reduction& reduction, const std::vector<Bytes>& sources,
                      std::size_t source_count);

}  // namespace smddp::test
