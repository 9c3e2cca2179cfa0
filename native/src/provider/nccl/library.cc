#include "provider/nccl/library.h"

#include <dlfcn.h>
#include <link.h>

#include <utility>

#include "smddp/cuda.h"

namespace smddp::nccl {
namespace {

constexpr const char* kName = "libnccl.so.2";

std::string path_of(void* handle) {
  const link_map* map = nullptr;
  if (::dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) != 0) return kName;
  return map->l_name;
}

Result<Library> bind_library(void* handle) {
  Library library;
  library.path = path_of(handle);
  Result<Table> table =
      bind_table([handle](const char* name) { return ::dlsym(handle, name); }, library.path);
  if (!table.ok()) return table.status();
  library.table = std::move(table).value();
  library.table.get_version(&library.version);
  return library;
}

}  // namespace

Result<Library> load_library(const std::vector<std::string>& paths) {
  if (void* const loaded = ::dlopen(kName, RTLD_NOW | RTLD_NOLOAD); loaded != nullptr)
    return bind_library(loaded);
  std::vector<std::string> candidates = paths;
  candidates.emplace_back(kName);
  std::string why;
  for (const std::string& candidate : candidates) {
    void* const handle = ::dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return bind_library(handle);
    why += (why.empty() ? "" : "; ") + std::string{::dlerror()};
  }
  return Status{StatusCode::kConfig,
                "CUDA tensors need NCCL, and it cannot be loaded: install a torch with CUDA, which "
                "brings it, or pip install nvidia-nccl-cu12 or -cu13, as your CUDA (" +
                    why + ")"};
}

}  // namespace smddp::nccl

namespace smddp {

NcclFacts nccl_facts(const std::vector<std::string>& paths) {
  const Result<nccl::Library> loaded = nccl::load_library(paths);
  if (!loaded.ok()) return {.problem = loaded.status().message()};
  return {.version = nccl::version_text(loaded.value().version), .path = loaded.value().path};
}

}  // namespace smddp
