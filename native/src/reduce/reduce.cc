#include "reduce/reduce.h"

#include <cstdio>
#include <cstdlib>

#include "reduce/dispatch.h"

namespace smddp {
namespace {

const reduce::KernelTable& best_kernels() {
  static const reduce::KernelTable& best = *reduce::available_kernels().back();
  return best;
}

[[noreturn]] void abort_undefined(DType dtype, ReduceOp op, int divisor, std::size_t source_count) {
  const std::string_view op_name = name_of(op);
  const std::string_view dtype_name = name_of(dtype);
  std::fprintf(
      stderr,
      "smddp: reduce_sources: %.*s of %.*s over %zu sources with divisor %d is not defined\n",
      static_cast<int>(op_name.size()), op_name.data(), static_cast<int>(dtype_name.size()),
      dtype_name.data(), source_count, divisor);
  std::abort();
}

}  // namespace

namespace reduce {

const KernelTable* kernels_for(std::string_view name) {
  for (const KernelTable* table : available_kernels()) {
    if (table->name == name) return table;
  }
  return nullptr;
}

}  // namespace reduce

void reduce_sources(DType dtype, ReduceOp op, int divisor,
                    std::span<const std::byte* const> sources, std::byte* target,
                    std::size_t count) {
  const reduce::Kernel kernel = best_kernels().find(dtype, op);
  const bool divides_bool = dtype == DType::kBool && divisor > 1;
  if (kernel == nullptr || divides_bool || sources.empty())
    abort_undefined(dtype, op, divisor, sources.size());
  kernel({sources.data(), sources.size(), target, count, divisor});
}

std::string_view simd_name() { return best_kernels().name; }

}  // namespace smddp
