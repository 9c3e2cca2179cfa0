#include "transport/tcp/liveness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace smddp {
namespace {

constexpr int kIdleSeconds = 6;
constexpr int kProbeIntervalSeconds = 3;
constexpr int kProbes = 3;

// Fewer unanswered attempts may be bad luck on a lossy network.
constexpr int kUnansweredAttempts = 3;

void set_option(int fd, int level, int option, int value) noexcept {
  ::setsockopt(fd, level, option, &value, sizeof(value));
}

}  // namespace

void tune_socket(int fd) noexcept {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kIdleSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kProbeIntervalSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
}

bool is_host_silent(int fd, std::chrono::milliseconds patience) noexcept {
  tcp_info info{};
  socklen_t length = sizeof(info);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  // A live host answers each retransmission and each probe of its closed window, which resets the
  // counters.
  const bool unanswered = (info.tcpi_unacked > 0 && info.tcpi_retransmits >= kUnansweredAttempts) ||
                          info.tcpi_probes >= kUnansweredAttempts;
  return unanswered && std::chrono::milliseconds{info.tcpi_last_ack_recv} >= patience;
}

}  // namespace smddp
