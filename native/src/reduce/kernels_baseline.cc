#include "reduce/kernels.h"
#include "reduce/table.h"

namespace smddp::reduce {
namespace {

/// What every processor of the family has.
struct Baseline : PortableConversions {
  static constexpr std::size_t kVectorBytes = 16;
};

}  // namespace

constinit const KernelTable kBaselineKernels = TableBuilder<Baseline>::build("baseline");

}  // namespace smddp::reduce
