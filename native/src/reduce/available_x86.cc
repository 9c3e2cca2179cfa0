#include <span>

#include "reduce/kernels.h"

namespace smddp::reduce {
namespace {

// The builtins also ask whether the operating system saves the wide registers.
std::size_t supported_tables() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("f16c")) return 1;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return avx512 ? 3 : 2;
}

}  // namespace

std::span<const KernelTable* const> available_kernels() {
  static constexpr const KernelTable* kTables[] = {&kBaselineKernels, &kAvx2Kernels,
                                                   &kAvx512Kernels};
  static const std::size_t count = supported_tables();
  return std::span(kTables).first(count);
}

}  // namespace smddp::reduce
