#include "transport/tcp/congestion.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <fstream>

#include "base/unique_fd.h"

namespace smddp {
namespace {

// The kernel's TCP_CA_NAME_MAX.
constexpr std::size_t kLongestName = 16;

std::string names_there_are() {
  std::ifstream file{"/proc/sys/net/ipv4/tcp_available_congestion_control"};
  std::string names;
  std::getline(file, names);
  return names.empty() ? "unknown ones" : names;
}

}  // namespace

std::string congestion_of(int fd) {
  std::array<char, kLongestName + 1> name{};
  socklen_t length = kLongestName;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &length) != 0) return {};
  return name.data();
}

bool set_congestion(int fd, const std::string& name) noexcept {
  if (name.empty()) return true;
  const auto length = static_cast<socklen_t>(name.size());
  return ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), length) == 0;
}

Result<std::string> choose_congestion(const std::string& wanted) {
  const UniqueFd probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!probe.valid()) return errno_status("socket");
  if (wanted == "auto") {
    const bool is_bbr = congestion_of(probe.get()).starts_with("bbr");
    return std::string{is_bbr && set_congestion(probe.get(), "cubic") ? "cubic" : ""};
  }
  if (set_congestion(probe.get(), wanted)) return wanted;
  return Status{StatusCode::kConfig,
                "SMDDP_TCP_CONGESTION=" + wanted +
                    ": this process cannot have it; the system has " + names_there_are() +
                    ", of which net.ipv4.tcp_allowed_congestion_control lists what programs "
                    "without privileges may use"};
}

}  // namespace smddp
