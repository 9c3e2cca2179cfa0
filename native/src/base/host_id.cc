#include "base/host_id.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>

namespace smddp {

std::string boot_id() {
  std::string id;
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::getline(file, id);
  return id;
}

Result<std::string> host_id(const std::string& override_id) {
  // The prefix keeps a chosen name apart from every boot id.
  if (!override_id.empty()) return "name:" + override_id;
  constexpr const char* kAdvice = "; set SMDDP_HOST_ID to a name that differs between hosts";
  const std::string boot = boot_id();
  if (boot.empty()) {
    return Status{
        StatusCode::kSystem,
        std::string("cannot read /proc/sys/kernel/random/boot_id, which tells hosts apart") +
            kAdvice};
  }
  struct stat network{};
  if (::stat("/proc/self/ns/net", &network) != 0) {
    const Status why = errno_status("cannot look at /proc/self/ns/net, which tells hosts apart");
    return Status{why.code(), why.message() + kAdvice};
  }
  return "boot:" + boot + ":net:" + std::to_string(network.st_ino);
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

}  // namespace smddp
