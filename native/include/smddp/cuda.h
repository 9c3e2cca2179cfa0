#pragma once

#include <string>
#include <vector>

#include "smddp/export.h"

namespace smddp {

// What of CUDA this machine has. Its libraries are found when asked for, so that one build serves
// machines with and without GPUs.

struct CudaFacts {
  int driver = 0;                      ///< newest CUDA that the driver serves: 13000 is 13.0
  std::vector<std::string> devices{};  ///< their names, in the driver's order
  std::string problem{};               ///< why there are none; empty: there are
};
/// Asks the driver. A child that this process forks later cannot use CUDA.
SMDDP_API CudaFacts cuda_facts();

struct NcclFacts {
  std::string version{};  ///< "2.27.5"
  std::string path{};     ///< where the loader found it
  std::string problem{};  ///< why there is none; empty: there is
};
/// Loads NCCL as CUDA tensors need it: the copy that is loaded already, else the first of `paths`,
/// else the loader's. It stays loaded.
SMDDP_API NcclFacts nccl_facts(const std::vector<std::string>& paths);

}  // namespace smddp
