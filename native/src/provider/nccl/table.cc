#include "provider/nccl/table.h"

#include <string>

namespace smddp::nccl {
namespace {

/// Looks up one function after the other, and remembers the first that was missing.
class Binder {
 public:
  explicit Binder(const SymbolFinder& find) : find_(find) {}

  template <typename Function>
  Binder& bind(const char* name, Function& function) {
    function = reinterpret_cast<Function>(find_(name));
    if (function == nullptr && missing_ == nullptr) missing_ = name;
    return *this;
  }
  const char* missing() const { return missing_; }

 private:
  const SymbolFinder& find_;
  const char* missing_ = nullptr;
};

Status unusable(const std::string& where, const std::string& why) {
  return {StatusCode::kConfig,
          "NCCL in " + where + " cannot be used: " + why + "; install " +
              version_text(kOldestVersion) +
              " or newer, as your torch's CUDA has it (pip install nvidia-nccl-cu12 or -cu13)"};
}

}  // namespace

std::string version_text(int version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

Result<Table> bind_table(const SymbolFinder& find, const std::string& where) {
  Table table;
  Binder binder{find};
  binder.bind("ncclGetVersion", table.get_version)
      .bind("ncclGetUniqueId", table.get_unique_id)
      .bind("ncclGetErrorString", table.get_error_string)
      .bind("ncclGetLastError", table.get_last_error)
      .bind("ncclCommInitRankConfig", table.comm_init_rank_config)
      .bind("ncclCommGetAsyncError", table.comm_get_async_error)
      .bind("ncclCommFinalize", table.comm_finalize)
      .bind("ncclCommDestroy", table.comm_destroy)
      .bind("ncclCommAbort", table.comm_abort)
      .bind("ncclGroupStart", table.group_start)
      .bind("ncclGroupEnd", table.group_end)
      .bind("ncclAllReduce", table.all_reduce)
      .bind("ncclReduce", table.reduce)
      .bind("ncclBroadcast", table.broadcast)
      .bind("ncclReduceScatter", table.reduce_scatter)
      .bind("ncclAllGather", table.all_gather)
      .bind("ncclSend", table.send)
      .bind("ncclRecv", table.recv);
  // Before what is missing, which is so because the library is too old.
  int version = 0;
  if (table.get_version != nullptr && table.get_version(&version) == ResultCode::kSuccess &&
      version < kOldestVersion)
    return unusable(where, "it is " + version_text(version));
  if (binder.missing() != nullptr)
    return unusable(where, std::string{"it has no "} + binder.missing());
  return table;
}

}  // namespace smddp::nccl
