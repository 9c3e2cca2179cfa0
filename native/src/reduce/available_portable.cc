#include <span>

#include "reduce/kernels.h"

namespace smddp::reduce {

std::span<const KernelTable* const> available_kernels() {
  static constexpr const KernelTable* kTables[] = {&kBaselineKernels};
  return kTables;
}

}  // namespace smddp::reduce
