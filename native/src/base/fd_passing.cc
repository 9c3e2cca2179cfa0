#include "base/fd_passing.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace smddp {
namespace {

// The kernel's limit is 253 descriptors in one message.
constexpr std::size_t kMaxPerMessage = 128;
constexpr std::size_t kControlBytes = CMSG_SPACE(kMaxPerMessage * sizeof(int));

struct Message {
  char payload = 'f';  // descriptors travel only beside at least one byte
  iovec part{&payload, 1};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr header{};

  explicit Message(std::size_t fds) {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds * sizeof(int));
  }
};

Status wait_for(int socket, short events, Deadline deadline) {
  pollfd entry{.fd = socket, .events = events, .revents = 0};
  for (;;) {
    const int ready = ::poll(&entry, 1, deadline.poll_timeout_ms(std::chrono::minutes{1}));
    if (ready > 0) return Status{};
    if (ready < 0 && errno != EINTR) return errno_status("poll");
    if (deadline.passed())
      return Status{StatusCode::kTimeout, "timed out while passing descriptors"};
  }
}

Status send_batch(int socket, std::span<const int> fds, Deadline deadline) {
  Message message{fds.size()};
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(control), fds.data(), fds.size_bytes());
  for (;;) {
    if (::sendmsg(socket, &message.header, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) return Status{};
    if (errno == EPIPE || errno == ECONNRESET)
      return Status{StatusCode::kPeerLost, "the connection was lost while passing descriptors"};
    if (errno != EAGAIN && errno != EINTR) return errno_status("sendmsg of descriptors");
    SMDDP_RETURN_IF_ERROR(wait_for(socket, POLLOUT, deadline));
  }
}

Status recv_batch(int socket, std::size_t count, std::vector<UniqueFd>& fds, Deadline deadline) {
  Message message{count};
  for (;;) {
    const ssize_t received = ::recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (received == 1) break;
    if (received == 0)
      return Status{StatusCode::kPeerLost,
                    "a rank of this host closed its connection while joining"};
    if (errno != EAGAIN && errno != EINTR) return errno_status("recvmsg of descriptors");
    SMDDP_RETURN_IF_ERROR(wait_for(socket, POLLIN, deadline));
  }
  const cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  const bool holds_fds = control != nullptr && control->cmsg_type == SCM_RIGHTS;
  const std::size_t passed = holds_fds ? (control->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
  for (std::size_t i = 0; i < passed; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
    fds.emplace_back(fd);
  }
  if (passed != count || (message.header.msg_flags & MSG_CTRUNC) != 0) {
    return Status{StatusCode::kSystem,
                  "descriptors were lost while joining; raise the limit of open files (ulimit -n)"};
  }
  return Status{};
}

}  // namespace

Status send_fds(int socket, std::span<const int> fds, Deadline deadline) {
  for (std::size_t begin = 0; begin < fds.size(); begin += kMaxPerMessage) {
    SMDDP_RETURN_IF_ERROR(send_batch(
        socket, fds.subspan(begin, std::min(kMaxPerMessage, fds.size() - begin)), deadline));
  }
  return Status{};
}

Result<std::vector<UniqueFd>> recv_fds(int socket, std::size_t count, Deadline deadline) {
  std::vector<UniqueFd> fds;
  while (fds.size() < count) {
    SMDDP_RETURN_IF_ERROR(
        recv_batch(socket, std::min(kMaxPerMessage, count - fds.size()), fds, deadline));
  }
  return fds;
}

Result<UniqueFd> open_peer_pidfd(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return errno_status("SO_PEERCRED");
  UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, credentials.pid, 0))};
  if (!pidfd.valid()) return errno_status("pidfd_open");
  return pidfd;
}

Result<UniqueFd> open_own_pidfd() {
  UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))};
  if (!pidfd.valid()) return errno_status("pidfd_open");
  return pidfd;
}

}  // namespace smddp
