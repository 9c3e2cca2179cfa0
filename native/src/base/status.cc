#include "smddp/status.h"

#include <cerrno>
#include <system_error>

namespace smddp {

Status errno_status(const std::string& what) {
  const int code = errno;
  return Status{StatusCode::kSystem, what + ": " + std::generic_category().message(code)};
}

}  // namespace smddp
