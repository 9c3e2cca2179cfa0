#include "transport/tcp/greeting.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace smddp {
namespace {

/// The first thing that the connecting side says.
struct Hello {
  static constexpr std::array<char, 6> kMagic{'S', 'M', 'D', 'D', 'P', 'T'};
  static constexpr char kVersion = 1;

  std::array<char, 6> magic = kMagic;
  std::uint8_t rail = 0;  ///< its number + 1; 0: the first connection, on no rail
  char version = kVersion;
  Rank client = -1;
  Rank server = -1;
};
static_assert(sizeof(Hello) == 16);

class Caller final : public Greeting {
 public:
  Caller(const Identity& identity, GuardedFd socket, Rank peer, int rail)
      : Greeting(identity, std::move(socket), peer, rail),
        handshake_(identity.secret, context_for(identity.self, peer)) {}

  short events() const override { return stage_ == Stage::kConnecting ? POLLOUT : POLLIN; }
  bool is_answered() const override { return stage_ > Stage::kChallenge; }

  State advance() override {
    State state = State::kDone;
    while (state == State::kDone && stage_ != Stage::kDone) state = do_stage();
    return state;
  }

 private:
  enum class Stage : unsigned char { kConnecting, kChallenge, kProof, kDone };

  State do_stage() {
    switch (stage_) {
      case Stage::kConnecting:
        return next(say_hello());
      case Stage::kChallenge:
        return next(answer());
      default:
        return next(check_proof());
    }
  }
  State next(State state) {
    if (state == State::kDone) stage_ = static_cast<Stage>(static_cast<int>(stage_) + 1);
    return state;
  }

  State say_hello() {
    pollfd entry{descriptor(), POLLOUT, 0};
    if (::poll(&entry, 1, 0) <= 0) return State::kPending;
    int error = 0;
    socklen_t length = sizeof(error);
    ::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return fail({StatusCode::kSystem, std::strerror(error)});
    Hello hello;
    hello.rail = static_cast<std::uint8_t>(rail_ + 1);
    hello.client = identity_.self;
    hello.server = peer_;
    return send({reinterpret_cast<const char*>(&hello), sizeof(hello)});
  }
  State answer() {
    if (const State state = collect(kChallengeBytes); state != State::kDone) return state;
    const auto answer = handshake_.answer(std::exchange(inbox_, {}));
    return answer.ok() ? send(answer.value()) : fail(answer.status());
  }
  State check_proof() {
    if (const State state = collect(kProofBytes); state != State::kDone) return state;
    const Status proven = handshake_.check(inbox_);
    return proven.ok() ? State::kDone : fail(proven);
  }

  Stage stage_ = Stage::kConnecting;
  ClientHandshake handshake_;
};

class Callee final : public Greeting {
 public:
  Callee(const Identity& identity, GuardedFd socket)
      : Greeting(identity, std::move(socket), -1, Route::kNoRail) {}

  short events() const override { return POLLIN; }
  bool is_answered() const override { return handshake_.has_value(); }

  State advance() override {
    if (!handshake_.has_value()) {
      if (const State state = hear_hello(); state != State::kDone) return state;
    }
    if (const State state = collect(kAnswerBytes); state != State::kDone) return state;
    const auto proof = handshake_->check(inbox_);
    if (proof.ok()) return send(proof.value());
    send(ServerHandshake::refusal());
    return fail(proof.status());
  }

 private:
  State hear_hello() {
    if (const State state = collect(sizeof(Hello)); state != State::kDone) return state;
    Hello hello;
    std::memcpy(&hello, inbox_.data(), sizeof(hello));
    inbox_.clear();
    if (hello.magic != Hello::kMagic || hello.version != Hello::kVersion ||
        hello.server != identity_.self || hello.client <= identity_.self) {
      return fail({StatusCode::kInvalidArgument, "a stray connection"});
    }
    peer_ = hello.client;
    rail_ = hello.rail - 1;
    handshake_.emplace(identity_.secret, context_for(peer_, identity_.self));
    return send(handshake_->challenge());
  }

  std::optional<ServerHandshake> handshake_;
};

Result<sockaddr_in> endpoint(const std::string& host, std::uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1)
    return Status{StatusCode::kInvalidArgument, "'" + host + "' is not an IPv4 address"};
  return in;
}

/// Otherwise the system may send everything over its first interface.
Status leave_by(int socket, const Interface& interface) {
  const auto from = endpoint(interface.address, 0);
  if (!from.ok()) return from.status();
  bind_to_interface(socket, interface);
  const int later = 1;  // the port is chosen when the other end is known: there are more of them
  ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &later, sizeof(later));
  const auto* address = reinterpret_cast<const sockaddr*>(&from.value());
  return ::bind(socket, address, sizeof(sockaddr_in)) == 0 ? Status{} : errno_status("bind");
}

}  // namespace

void bind_to_interface(int socket, const Interface& interface) noexcept {
  if (interface.is_loopback) return;
  // Old kernels allow it to root alone; then the address decides.
  ::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, interface.name.c_str(),
               static_cast<socklen_t>(interface.name.size()));
}

Greeting::State Greeting::collect(std::size_t size) {
  std::array<char, 64> bytes;
  while (inbox_.size() < size) {
    const std::size_t room = std::min(bytes.size(), size - inbox_.size());
    const ssize_t got = ::recv(descriptor(), bytes.data(), room, MSG_DONTWAIT);
    if (got > 0) {
      inbox_.append(bytes.data(), static_cast<std::size_t>(got));
    } else if (got == 0) {
      return fail(
          {StatusCode::kPeerLost, "it closed the connection: another job, or another secret?"});
    } else if (errno == EAGAIN) {
      return State::kPending;
    } else if (errno != EINTR) {
      return fail({StatusCode::kSystem, std::strerror(errno)});
    }
  }
  return State::kDone;
}

Greeting::State Greeting::send(const std::string& bytes) {
  // The first few bytes on a new connection always fit.
  const ssize_t sent =
      ::send(descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == static_cast<ssize_t>(bytes.size())) return State::kDone;
  return fail({StatusCode::kSystem, sent < 0 ? std::strerror(errno) : "short write"});
}

Greeting::State Greeting::fail(Status why) {
  failure_ = std::move(why);
  return State::kFailed;
}

std::string Greeting::context_for(Rank client, Rank server) const {
  const std::string rail = rail_ == Route::kNoRail ? "" : " rail " + std::to_string(rail_);
  return identity_.context + "\ntcp " + std::to_string(client) + ">" + std::to_string(server) +
         rail;
}

Result<std::unique_ptr<Greeting>> call_peer(const Identity& identity, Rank peer,
                                            const Route& route) {
  const auto to = endpoint(route.host, route.port);
  if (!to.ok()) return to.status();
  GuardedFd socket{UniqueFd{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)}};
  if (!socket.valid()) return errno_status("socket");
  if (!route.from.name.empty()) SMDDP_RETURN_IF_ERROR(leave_by(socket.get(), route.from));
  const auto* address = reinterpret_cast<const sockaddr*>(&to.value());
  const int rc = ::connect(socket.get(), address, sizeof(sockaddr_in));
  if (rc != 0 && errno != EINPROGRESS) return Status{StatusCode::kSystem, std::strerror(errno)};
  return std::unique_ptr<Greeting>{
      std::make_unique<Caller>(identity, std::move(socket), peer, route.rail)};
}

std::unique_ptr<Greeting> hear_caller(const Identity& identity, GuardedFd socket) {
  return std::make_unique<Callee>(identity, std::move(socket));
}

}  // namespace smddp
