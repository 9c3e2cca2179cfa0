#include "base/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

namespace smddp {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxAbstractName = 100;
constexpr int kSocketFlags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
// One silent address of a host must not use up the time that its others could have.
constexpr std::chrono::seconds kMaxConnectAttempt{10};

/// An address of any family as the calls want it.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

Endpoint ipv4_endpoint(in_addr address, std::uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr = address;
  in.sin_port = htons(port);
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, &in, sizeof(in));
  endpoint.length = sizeof(in);
  return endpoint;
}

Result<Endpoint> abstract_endpoint(const std::string& name) {
  if (name.empty() || name.size() > kMaxAbstractName) {
    return Status{StatusCode::kInvalidArgument,
                  "an abstract socket name has 1 to 100 bytes, not " + std::to_string(name.size())};
  }
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path + 1, name.data(), name.size());
  Endpoint endpoint;
  std::memcpy(&endpoint.storage, &un, sizeof(un));
  endpoint.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return endpoint;
}

/// "10.0.0.1:4567" or "@name" with unprintable bytes as dots.
std::string describe(const Endpoint& endpoint) {
  if (endpoint.family() == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &endpoint.storage, sizeof(in));
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(in.sin_port));
  }
  constexpr std::size_t kPathStart = offsetof(sockaddr_un, sun_path);
  if (endpoint.family() != AF_UNIX || endpoint.length <= kPathStart + 1) return "an unnamed socket";
  const char* bytes = reinterpret_cast<const char*>(&endpoint.storage);
  std::string text(bytes + kPathStart + 1, bytes + endpoint.length);
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '.';
  }
  return "@" + text;
}

bool is_loss(int error) {
  return error == EPIPE || error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ENETDOWN || error == EHOSTDOWN;
}

/// Errors of connect(2) that may pass by themselves: nobody listens yet, or the
/// network is not up yet.
bool may_pass(int error) {
  return error == ECONNREFUSED || error == EAGAIN || error == EINTR || error == EADDRNOTAVAIL ||
         error == ECONNABORTED || is_loss(error);
}

/// Waits for the events; false when the deadline passed first.
bool wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, deadline.poll_timeout_ms(milliseconds{1000}));
    if (ready > 0) return true;
    if (deadline.passed()) return false;
  }
}

void pause_for(milliseconds time, Deadline deadline) {
  ::poll(nullptr, 0, deadline.poll_timeout_ms(time));
}

/// Small messages go out at once. Unix sockets refuse the option and do not need it.
void disable_nagle(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/// While nobody listens on a port of the ephemeral range, TCP may connect a socket to itself.
bool is_connected_to_itself(int fd) {
  Endpoint self;
  Endpoint peer;
  self.length = peer.length = sizeof(sockaddr_storage);
  if (::getsockname(fd, self.get(), &self.length) != 0) return false;
  if (::getpeername(fd, peer.get(), &peer.length) != 0) return false;
  return self.family() == AF_INET && self.length == peer.length &&
         std::memcmp(&self.storage, &peer.storage, self.length) == 0;
}

/// One attempt. kAgain: it may work later; `last_error` then says why it did not work now.
Result<UniqueFd> connect_once(const Endpoint& to, Deadline deadline, int& last_error) {
  UniqueFd fd{::socket(to.family(), kSocketFlags, 0)};
  if (!fd.valid()) return errno_status("socket");
  int error = ::connect(fd.get(), to.get(), to.length) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    error = ETIMEDOUT;
    if (wait_for(fd.get(), POLLOUT, std::min(deadline, Deadline::after(kMaxConnectAttempt)))) {
      socklen_t length = sizeof(error);
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    }
  }
  if (error == 0 && is_connected_to_itself(fd.get())) error = ECONNREFUSED;
  last_error = error;
  if (error == 0) {
    disable_nagle(fd.get());
    return fd;
  }
  if (may_pass(error)) return Status::again();
  errno = error;
  return errno_status("cannot connect to " + describe(to));
}

Status connect_timeout(const std::string& where, const std::string& why) {
  return {StatusCode::kTimeout, "cannot connect to " + where + " in time: " + why};
}

/// Tries all addresses in turn with growing pauses, at least once each even
/// when the deadline has passed.
template <typename Resolve>
Result<UniqueFd> connect_until(const std::string& where, Resolve resolve, Deadline deadline) {
  milliseconds pause{2};
  std::string why;
  for (;;) {
    const Result<std::vector<Endpoint>> endpoints = resolve();
    if (endpoints.ok()) {
      for (const Endpoint& endpoint : endpoints.value()) {
        int error = 0;
        auto fd = connect_once(endpoint, deadline, error);
        if (!fd.status().is_again()) return fd;
        why = std::strerror(error);
      }
    } else if (endpoints.status().code() == StatusCode::kTimeout) {
      why = endpoints.status().message();
    } else {
      return endpoints.status();
    }
    if (deadline.passed()) return connect_timeout(where, why);
    pause_for(pause, deadline);
    pause = std::min(2 * pause, milliseconds{200});
  }
}

/// kTimeout: the name is not known yet. Names of a cluster's hosts often appear
/// only when they have started.
Result<std::vector<Endpoint>> resolve_ipv4(const std::string& host, std::uint16_t port) {
  in_addr literal{};
  if (::inet_pton(AF_INET, host.c_str(), &literal) == 1)
    return std::vector{ipv4_endpoint(literal, port)};

  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (rc == EAI_SYSTEM) return errno_status("cannot resolve the host name '" + host + "'");
  if (rc != 0) {
    const bool later = rc == EAI_AGAIN || rc == EAI_NONAME;
    return Status{later ? StatusCode::kTimeout : StatusCode::kSystem,
                  "cannot resolve the host name '" + host + "': " + ::gai_strerror(rc)};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{found, &::freeaddrinfo};
  std::vector<Endpoint> endpoints;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    sockaddr_in in;
    std::memcpy(&in, entry->ai_addr, sizeof(in));
    endpoints.push_back(ipv4_endpoint(in.sin_addr, port));
  }
  return endpoints;
}

Result<UniqueFd> listen_on(const Endpoint& endpoint, const std::string& hint_if_used) {
  UniqueFd fd{::socket(endpoint.family(), kSocketFlags, 0)};
  if (!fd.valid()) return errno_status("socket");
  if (endpoint.family() == AF_INET) {
    // A job that starts right after another one finds its port in TIME_WAIT.
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  }
  if (::bind(fd.get(), endpoint.get(), endpoint.length) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0) {
    const bool used = errno == EADDRINUSE;
    const Status status = errno_status("cannot listen on " + describe(endpoint));
    return used ? Status{status.code(), status.message() + hint_if_used} : status;
  }
  return fd;
}

}  // namespace

Result<UniqueFd> listen_tcp(const std::string& address, std::uint16_t port) {
  in_addr in{};
  in.s_addr = htonl(INADDR_ANY);
  if (!address.empty() && ::inet_pton(AF_INET, address.c_str(), &in) != 1) {
    return Status{StatusCode::kInvalidArgument, "'" + address + "' is not an IPv4 address"};
  }
  return listen_on(ipv4_endpoint(in, port),
                   "; choose another port or end the program that uses it");
}

Result<UniqueFd> connect_tcp(const std::string& host, std::uint16_t port, Deadline deadline) {
  return connect_until(
      host + ":" + std::to_string(port), [&] { return resolve_ipv4(host, port); }, deadline);
}

Result<std::uint16_t> local_port(int fd) {
  Endpoint self;
  self.length = sizeof(self.storage);
  if (::getsockname(fd, self.get(), &self.length) != 0) return errno_status("getsockname");
  if (self.family() != AF_INET)
    return Status{StatusCode::kInvalidArgument, "the socket has no port"};
  sockaddr_in in;
  std::memcpy(&in, &self.storage, sizeof(in));
  return static_cast<std::uint16_t>(ntohs(in.sin_port));
}

std::string peer_name(int fd) {
  Endpoint peer;
  peer.length = sizeof(peer.storage);
  if (::getpeername(fd, peer.get(), &peer.length) != 0) return "a closed connection";
  if (peer.family() == AF_UNIX && peer.length <= sizeof(sa_family_t)) {
    // Only the listening side of a unix connection has a name.
    peer.length = sizeof(peer.storage);
    if (::getsockname(fd, peer.get(), &peer.length) != 0) return "a closed connection";
  }
  return describe(peer);
}

Result<UniqueFd> listen_abstract(const std::string& name) {
  const auto endpoint = abstract_endpoint(name);
  if (!endpoint.ok()) return endpoint.status();
  return listen_on(endpoint.value(), "; another job of this user seems to use the same name");
}

Result<UniqueFd> connect_abstract(const std::string& name, Deadline deadline) {
  const auto endpoint = abstract_endpoint(name);
  if (!endpoint.ok()) return endpoint.status();
  const auto resolve = [&] { return Result<std::vector<Endpoint>>{std::vector{endpoint.value()}}; };
  return connect_until("the abstract socket " + describe(endpoint.value()), resolve, deadline);
}

Result<UniqueFd> accept_connection(int listening_fd, Deadline deadline) {
  for (;;) {
    UniqueFd fd{::accept4(listening_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (fd.valid()) {
      disable_nagle(fd.get());
      return fd;
    }
    if (is_loss(errno) || errno == EINTR || errno == ECONNABORTED || errno == EPROTO ||
        errno == EPERM) {
      continue;  // Linux reports what became of one connection here; the next may be sound
    }
    if (errno != EAGAIN) return errno_status("accept");
    if (!wait_for(listening_fd, POLLIN, deadline)) {
      return Status{StatusCode::kTimeout, "nobody connected in time"};
    }
  }
}

Status send_all(int fd, std::span<const std::byte> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (sent < 0 && errno == EAGAIN) {
      if (!wait_for(fd, POLLOUT, deadline)) {
        return {StatusCode::kTimeout, peer_name(fd) + " did not take the data in time"};
      }
    } else if (sent < 0 && is_loss(errno)) {
      return {StatusCode::kPeerLost, "the connection to " + peer_name(fd) + " was lost"};
    } else if (sent < 0 && errno != EINTR) {
      return errno_status("send to " + peer_name(fd));
    }
  }
  return {};
}

Status recv_all(int fd, std::span<std::byte> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (got > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    } else if (got == 0) {
      return {StatusCode::kPeerLost, peer_name(fd) + " closed the connection"};
    } else if (errno == EAGAIN) {
      if (!wait_for(fd, POLLIN, deadline)) {
        return {StatusCode::kTimeout, peer_name(fd) + " sent no data in time"};
      }
    } else if (is_loss(errno)) {
      return {StatusCode::kPeerLost, "the connection to " + peer_name(fd) + " was lost"};
    } else if (errno != EINTR) {
      return errno_status("receive from " + peer_name(fd));
    }
  }
  return {};
}

Status send_frame(int fd, const std::string& payload, Deadline deadline) {
  if (payload.size() > std::numeric_limits<std::uint32_t>::max()) {
    return {StatusCode::kInvalidArgument, "a frame holds less than 4 GiB"};
  }
  std::string frame;
  frame.reserve(4 + payload.size());
  for (int shift = 0; shift < 32; shift += 8) {
    frame.push_back(static_cast<char>((payload.size() >> shift) & 0xff));
  }
  frame += payload;  // one send: a peer that polls sees the whole of a small frame at once
  return send_all(fd, std::as_bytes(std::span(frame)), deadline);
}

Result<std::string> recv_frame(int fd, std::size_t max_bytes, Deadline deadline) {
  std::array<std::byte, 4> header;
  SMDDP_RETURN_IF_ERROR(recv_all(fd, header, deadline));
  std::size_t size = 0;
  for (std::size_t i = 0; i < header.size(); ++i)
    size |= std::to_integer<std::size_t>(header[i]) << (8 * i);
  if (size > max_bytes) {
    return Status{StatusCode::kInvalidArgument, peer_name(fd) + " announced " +
                                                    std::to_string(size) + " bytes where at most " +
                                                    std::to_string(max_bytes) + " are allowed"};
  }
  std::string payload(size, '\0');
  SMDDP_RETURN_IF_ERROR(recv_all(fd, std::as_writable_bytes(std::span(payload)), deadline));
  return payload;
}

}  // namespace smddp
