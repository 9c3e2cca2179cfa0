#pragma once

#include <string>
#include <vector>

#include "smddp/status.h"

#include "provider/nccl/table.h"

namespace smddp::nccl {

/// NCCL as loaded into this process.
struct Library {
  Table table;
  int version = 0;   ///< as ncclGetVersion tells it: 22705 is 2.27.5
  std::string path;  ///< where the loader found it
};

/// Loads NCCL: the libnccl.so.2 that the process has already, which is torch's unless torch was
/// linked with NCCL itself; else the first of `paths` that can be loaded, else where the loader
/// finds it. It stays loaded. kConfig: there is none, or the first that was found is unusable.
Result<Library> load_library(const std::vector<std::string>& paths);

}  // namespace smddp::nccl
