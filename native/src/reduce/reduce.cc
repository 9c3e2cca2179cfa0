#include "reduce/reduce.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "reduce/dispatch.h"

namespace smddp {
namespace {

const reduce::KernelTable& best_kernels() {
  static const reduce::KernelTable& best = *reduce::available_kernels().back();
  return best;
}

[[noreturn]] void abort_undefined(const ReduceTypes& types, ReduceOp op, int divisor,
                                  std::size_t source_count, std::size_t target_count) {
  const std::string_view op_name = name_of(op);
  const std::string_view source = name_of(types.source);
  const std::string_view target = name_of(types.target);
  std::fprintf(stderr,
               "smddp: reduce_sources: %.*s of %zu sources of %.*s into %zu targets of %.*s, "
               "divisor %d, is not defined\n",
               static_cast<int>(op_name.size()), op_name.data(), source_count,
               static_cast<int>(source.size()), source.data(), target_count,
               static_cast<int>(target.size()), target.data(), divisor);
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

void reduce_sources(const ReduceTypes& types, ReduceOp op, int divisor,
                    std::span<const std::byte* const> sources, std::span<std::byte* const> targets,
                    std::size_t count) {
  const reduce::Kernel kernel = best_kernels().find(types, op);
  const bool dividable = op == ReduceOp::kSum && types.source != DType::kBool;
  if (kernel == nullptr || (divisor > 1 && !dividable) || sources.empty() || targets.empty())
    abort_undefined(types, op, divisor, sources.size(), targets.size());
  const std::size_t together = std::min(targets.size(), reduce::kMostTargets);
  kernel({sources.data(), sources.size(), targets.data(), together, count, divisor});
  for (std::byte* const target : targets.subspan(together))
    std::memcpy(target, targets.front(), count * size_of(types.target));
}

void reduce_sources(DType dtype, ReduceOp op, int divisor,
                    std::span<const std::byte* const> sources, std::span<std::byte* const> targets,
                    std::size_t count) {
  reduce_sources(ReduceTypes{dtype, dtype}, op, divisor, sources, targets, count);
}

std::string_view simd_name() { return best_kernels().name; }

}  // namespace smddp
