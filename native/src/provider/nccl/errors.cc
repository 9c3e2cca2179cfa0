#include "provider/nccl/errors.h"

namespace smddp::nccl {
namespace {

struct Meaning {
  StatusCode code;
  const char* advice;  ///< may be empty
};

Meaning meaning_of(ResultCode code) {
  switch (code) {
    case ResultCode::kUnhandledCudaError:
      return {StatusCode::kSystem,
              "NCCL_DEBUG=WARN shows which call of CUDA failed; in a later operation it may be a "
              "kernel before it (CUDA_LAUNCH_BLOCKING=1 tells)"};
    case ResultCode::kSystemError:
      return {StatusCode::kSystem, "NCCL_DEBUG=WARN shows which call of the system failed"};
    case ResultCode::kInvalidArgument:
      return {StatusCode::kSystem, "NCCL_DEBUG=WARN shows which argument it is"};
    case ResultCode::kInvalidUsage:
      return {StatusCode::kSystem, "the ranks may have NCCL in different versions, or share a GPU"};
    case ResultCode::kRemoteError:
      return {StatusCode::kPeerLost, "another rank has ended or cannot be reached"};
    case ResultCode::kTimeout:
      return {StatusCode::kTimeout, ""};
    default:
      return {StatusCode::kSystem, "NCCL_DEBUG=INFO shows what led to it"};
  }
}

}  // namespace

Status to_status(const Library& library, ResultCode code, Comm* comm, const std::string& doing) {
  const auto [status, advice] = meaning_of(code);
  std::string text = doing + ": NCCL " + version_text(library.version) + " says \"" +
                     library.table.get_error_string(code) + "\"";
  const char* const last = library.table.get_last_error(comm);
  if (last != nullptr && *last != '\0') text += "; its last message: " + std::string{last};
  if (*advice != '\0') text += "; " + std::string{advice};
  return {status, std::move(text)};
}

}  // namespace smddp::nccl
