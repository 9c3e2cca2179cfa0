#include "transport/tcp/tcp_transport.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/fork_guard.h"
#include "base/guarded_fd.h"
#include "base/rank_label.h"
#include "base/socket.h"
#include "transport/tcp/address.h"
#include "transport/tcp/congestion.h"
#include "transport/tcp/connection.h"
#include "transport/tcp/liveness.h"
#include "transport/tcp/rail_stream.h"
#include "transport/tcp/rendezvous.h"
#include "transport/tcp/socket_stream.h"
#include "transport/unusable_peer.h"

namespace smddp {
namespace {

constexpr std::size_t kEventsAtOnce = 64;
constexpr std::chrono::seconds kHostCheckPeriod{1};

class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(TransportContext context) : context_(std::move(context)) {}

  std::string_view name() const noexcept override { return "tcp"; }
  Result<std::string> listen() override;
  Status connect(std::span<const PeerAddress> peers, const std::string& secret,
                 const std::string& context, Deadline deadline) override;
  Status watch(Poller& poller) override;
  void unwatch(Poller& poller) noexcept override;
  void arm(Poller& poller) noexcept override { poller.arm(epoll_.get()); }
  int descriptor() const noexcept override { return epoll_.get(); }
  bool can_sleep() const noexcept override { return true; }
  bool sleep(std::chrono::milliseconds longest) noexcept override {
    return collect_events(longest) > 0;
  }
  Status post_send(Rank peer, const SendDesc& send, Token token) override;
  Status post_recv(Rank peer, const RecvDesc& recv, Token token) override;
  void post_notice(Rank peer, std::span<const std::byte> bytes) override;
  bool progress(CompletionSink& sink) override;
  void abandon() override;
  bool flushed() const noexcept override;
  bool flushed_to(Rank peer) const noexcept override;
  bool delivered() const noexcept override;

 private:
  Result<std::uint16_t> listen_on(const std::string& address);
  Status adopt(std::vector<Meeting> meetings);
  std::unique_ptr<TcpStream> make_stream(std::vector<GuardedFd> sockets, Rank peer) const;
  Connection* find(Rank peer) const noexcept;
  int collect_events(std::chrono::milliseconds patience) noexcept;
  bool check_hosts(CompletionSink& sink);

  TransportContext context_;
  std::vector<GuardedFd> listeners_;  ///< the one for all, then those of rails
  // Edge-triggered, so that looking whether anything came is one call however many peers there are.
  GuardedFd epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> by_rank_;
  Deadline::Clock::time_point next_host_check_{};
  bool abandoned_ = false;
};

Result<std::string> TcpTransport::listen() {
  Result<std::string> congestion = choose_congestion(context_.tcp_congestion);
  if (!congestion.ok()) return congestion.status();
  context_.tcp_congestion = std::move(congestion).value();
  const auto port = listen_on(context_.listen_interface);
  if (!port.ok()) return port.status();
  TcpAddress address = local_address(context_.listen_interface, port.value());
  if (context_.rails.size() > RailStream::kMostRails) context_.rails.resize(RailStream::kMostRails);
  if (context_.rails.size() < 2) context_.rails.clear();
  for (const Interface& rail : context_.rails) {
    const auto rail_port = listen_on(rail.address);
    if (!rail_port.ok()) return rail_port.status();
    // Connections take that over, so that both directions stay on the rail.
    bind_to_interface(listeners_.back().get(), rail);
    address.rails.push_back({rail.address, rail_port.value()});
  }
  return to_text(address);
}

Result<std::uint16_t> TcpTransport::listen_on(const std::string& address) {
  auto socket = listen_tcp(address, 0);
  if (!socket.ok()) return socket.status();
  listeners_.emplace_back(std::move(socket).value());
  return local_port(listeners_.back().get());
}

Status TcpTransport::connect(std::span<const PeerAddress> peers, const std::string& secret,
                             const std::string& context, Deadline deadline) {
  Rendezvous::Place place{.listening_sockets = {}, .rails = context_.rails};
  for (const GuardedFd& listener : listeners_) place.listening_sockets.push_back(listener.get());
  Rendezvous rendezvous{{context_.self, context_.labels, secret, context}, std::move(place)};
  auto meetings = rendezvous.run(peers, deadline);
  listeners_.clear();
  if (!meetings.ok()) return meetings.status();
  return adopt(std::move(meetings).value());
}

Status TcpTransport::adopt(std::vector<Meeting> meetings) {
  epoll_ = GuardedFd{UniqueFd{::epoll_create1(EPOLL_CLOEXEC)}};
  if (!epoll_.valid()) return errno_status("epoll_create1");
  for (Meeting& meeting : meetings) {
    std::unique_ptr<TcpStream> stream = make_stream(std::move(meeting.sockets), meeting.peer);
    for (SocketStream* socket : stream->sockets()) {
      tune_socket(socket->descriptor());
      set_congestion(socket->descriptor(), context_.tcp_congestion);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
      event.data.ptr = socket;
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket->descriptor(), &event) != 0)
        return errno_status("epoll_ctl");
    }
    const auto slot = static_cast<std::size_t>(meeting.peer);
    by_rank_.resize(std::max(by_rank_.size(), slot + 1));
    connections_.push_back(std::make_unique<Connection>(meeting.peer, std::move(stream)));
    by_rank_[slot] = connections_.back().get();
  }
  return {};
}

std::unique_ptr<TcpStream> TcpTransport::make_stream(std::vector<GuardedFd> sockets,
                                                     Rank peer) const {
  if (sockets.size() == 1) return std::make_unique<SocketStream>(std::move(sockets.front()));
  RailStream::Options options{.stripe_bytes = context_.stripe_bytes,
                              .names = {},
                              .peer = "rank " + std::to_string(label_of(context_.labels, peer))};
  for (const Interface& rail : context_.rails)
    options.names.push_back(rail.name + " (" + rail.address + ")");
  return std::make_unique<RailStream>(std::move(sockets), std::move(options));
}

Status TcpTransport::watch(Poller& poller) {
  return connections_.empty() ? Status{} : poller.enroll(epoll_.get());
}

void TcpTransport::unwatch(Poller& poller) noexcept {
  // A forked child shares the parent's epoll and must not take anything out of it.
  if (in_forked_child()) return;
  if (!connections_.empty()) poller.remove(epoll_.get());
}

Status TcpTransport::post_send(Rank peer, const SendDesc& send, Token token) {
  Connection* to = find(peer);
  if (to == nullptr || abandoned_) return unusable_peer(abandoned_, context_.labels, peer);
  to->send(send, token);
  return {};
}

Status TcpTransport::post_recv(Rank peer, const RecvDesc& recv, Token token) {
  Connection* from = find(peer);
  if (from == nullptr || abandoned_) return unusable_peer(abandoned_, context_.labels, peer);
  from->receive(recv, token);
  return {};
}

void TcpTransport::post_notice(Rank peer, std::span<const std::byte> bytes) {
  if (Connection* to = find(peer); to != nullptr && bytes.size() <= kMaxNoticeBytes)
    to->send_notice(bytes);
}

bool TcpTransport::progress(CompletionSink& sink) {
  if (connections_.empty()) return false;
  collect_events(std::chrono::milliseconds{0});
  bool moved = false;
  for (auto& connection : connections_) moved |= connection->progress(sink);
  return moved || check_hosts(sink);
}

void TcpTransport::abandon() {
  abandoned_ = true;
  for (auto& connection : connections_) connection->abandon();
}

bool TcpTransport::flushed() const noexcept {
  return std::all_of(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return connection->flushed(); });
}

bool TcpTransport::flushed_to(Rank peer) const noexcept {
  const Connection* to = find(peer);
  return to == nullptr || to->flushed();
}

bool TcpTransport::delivered() const noexcept {
  return std::all_of(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return connection->delivered(); });
}

Connection* TcpTransport::find(Rank peer) const noexcept {
  const auto slot = static_cast<std::size_t>(peer);
  return peer >= 0 && slot < by_rank_.size() ? by_rank_[slot] : nullptr;
}

int TcpTransport::collect_events(std::chrono::milliseconds patience) noexcept {
  std::array<epoll_event, kEventsAtOnce> events;
  const int most = static_cast<int>(events.size());
  int total = 0;
  int count = 0;
  do {
    const int timeout = total > 0 ? 0 : static_cast<int>(patience.count());
    count = ::epoll_wait(epoll_.get(), events.data(), most, timeout);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const bool ended = (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
      static_cast<SocketStream*>(event.data.ptr)->on_event(ended);
    }
    total += std::max(count, 0);
  } while (count == most);
  return total;
}

bool TcpTransport::check_hosts(CompletionSink& sink) {
  const auto now = Deadline::Clock::now();
  if (now < next_host_check_) return false;
  next_host_check_ = now + kHostCheckPeriod;
  bool closed = false;
  for (auto& connection : connections_) closed |= connection->check_host(sink);
  return closed;
}

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(const TransportContext& context) {
  return std::make_unique<TcpTransport>(context);
}

}  // namespace smddp
