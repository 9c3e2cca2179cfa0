#include "transport/ofi/ofi_transport.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/fork_guard.h"
#include "base/log.h"
#include "base/rank_label.h"
#include "transport/missing_ranks.h"
#include "transport/ofi/channel.h"
#include "transport/ofi/library.h"
#include "transport/ofi/poll_timer.h"
#include "transport/ofi/providers.h"
#include "transport/ofi/rail.h"
#include "transport/tcp/address.h"
#include "transport/tcp/tcp_transport.h"
#include "transport/unusable_peer.h"

namespace smddp {
namespace {

constexpr std::size_t kEventsAtOnce = 64;
// More would let fast peers keep this rank from sending.
constexpr int kPollsAtOnce = 16;
constexpr std::chrono::seconds kRoadCheckPeriod{1};

class OfiTransport final : public Transport, private CompletionSink {
 public:
  explicit OfiTransport(TransportContext context)
      : context_(std::move(context)), control_(make_tcp_transport(context_)) {}
  ~OfiTransport() override;
  OfiTransport(const OfiTransport&) = delete;
  OfiTransport& operator=(const OfiTransport&) = delete;

  std::string_view name() const noexcept override { return "ofi"; }
  Result<std::string> listen() override;
  Status connect(std::span<const PeerAddress> peers, const std::string& secret,
                 const std::string& context, Deadline deadline) override;
  Status watch(Poller& poller) override;
  void unwatch(Poller& poller) noexcept override;
  void arm(Poller& poller) noexcept override;
  Status post_send(Rank peer, const SendDesc& send, Token token) override;
  Status post_recv(Rank peer, const RecvDesc& recv, Token token) override;
  void post_notice(Rank peer, std::span<const std::byte> bytes) override;
  bool progress(CompletionSink& sink) override;
  void abandon() override;
  bool flushed() const noexcept override;
  bool flushed_to(Rank peer) const noexcept override;
  bool delivered() const noexcept override;
  void serve() override;

 private:
  // What the connections report.
  void complete(Token, Status) override {}
  void mismatch(Rank, const Envelope&) override {}
  void notice(Rank peer, std::span<const std::byte> bytes) override;
  void peer_closed(Rank peer, const Status& why) override;

  std::string source_address() const;
  void make_channels(std::span<const PeerAddress> peers);
  Status hear_introductions(Deadline deadline);
  Status greet(Deadline deadline);
  template <typename IsReached>
  Status await_all(const IsReached& is_reached, const std::string& lack, Deadline deadline);
  int wait_descriptor() const noexcept;
  void unenroll() noexcept;
  Channel* find(Rank peer) const noexcept;
  bool poll();
  void handle(const Endpoint::Event& event);
  bool take_message(std::uint32_t buffer, std::size_t bytes);
  void take_chunk(std::uint32_t slot, std::uint32_t chunk);
  void check_roads();
  void stop_rail();

  TransportContext context_;
  std::unique_ptr<Transport> control_;
  std::unique_ptr<OfiRail> rail_;  ///< null after `abandon`
  PollTimer timer_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<Channel*> by_rank_;
  Poller* poller_ = nullptr;
  Deadline::Clock::time_point next_road_check_{};
  bool abandoned_ = false;
};

OfiTransport::~OfiTransport() {
  if (in_forked_child()) {
    // Its sockets and threads are the parent's.
    static_cast<void>(rail_.release());
    for (auto& channel : channels_) static_cast<void>(channel.release());
    return;
  }
  stop_rail();
}

Result<std::string> OfiTransport::listen() {
  const Result<const Library*> library = Library::of_process();
  if (!library.ok()) return library.status();
  Result<InfoPtr> info = choose_provider(
      *library.value(),
      {.name = context_.ofi.provider, .source = source_address(), .rma = context_.ofi.rma});
  if (!info.ok()) return info.status();
  Result<std::unique_ptr<OfiRail>> rail = OfiRail::open(*library.value(), std::move(info).value());
  if (!rail.ok()) return rail.status();
  rail_ = std::move(rail).value();
  return control_->listen();
}

std::string OfiTransport::source_address() const {
  if (!context_.listen_interface.empty()) return context_.listen_interface;
  const TcpAddress here = local_address("", 0);
  return here.hosts.empty() ? "127.0.0.1" : here.hosts.front();
}

Status OfiTransport::connect(std::span<const PeerAddress> peers, const std::string& secret,
                             const std::string& context, Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(control_->connect(peers, secret, context + "\nofi", deadline));
  const RoomPerPeer room = room_per_peer(peers.size());
  SMDDP_RETURN_IF_ERROR(rail_->prepare(peers.size(), room));
  make_channels(peers);
  const Endpoint& endpoint = rail_->endpoint();
  for (auto& channel : channels_) {
    channel->introduce({.rma = endpoint.has_rma(),
                        .room = room,
                        .provider = endpoint.provider(),
                        .address = endpoint.address()});
  }
  SMDDP_RETURN_IF_ERROR(hear_introductions(deadline));
  for (auto& channel : channels_) SMDDP_RETURN_IF_ERROR(channel->open(*rail_, room));
  SMDDP_RETURN_IF_ERROR(greet(deadline));
  log_line(LogLevel::kInfo, "rank " + std::to_string(label_of(context_.labels, context_.self)) +
                                ": libfabric's provider " + endpoint.provider() +
                                (endpoint.has_rma() ? ", RMA writes" : ", tagged messages"));
  return {};
}

void OfiTransport::make_channels(std::span<const PeerAddress> peers) {
  for (const PeerAddress& peer : peers) {
    channels_.push_back(std::make_unique<Channel>(context_.self, peer.rank, *control_));
    const auto slot = static_cast<std::size_t>(peer.rank);
    by_rank_.resize(std::max(by_rank_.size(), slot + 1));
    by_rank_[slot] = channels_.back().get();
  }
}

Status OfiTransport::hear_introductions(Deadline deadline) {
  const auto has_spoken = [](const Channel& channel) {
    return channel.peer_introduction() != nullptr;
  };
  return await_all(has_spoken, "it has not said how libfabric reaches it", deadline);
}

// Providers make the way to a peer with the first message, and need both sides for that. Later only
// one may be here.
Status OfiTransport::greet(Deadline deadline) {
  const auto has_met = [this](Channel& channel) {
    return channel.greet() && rail_->endpoint().sends() == 0;
  };
  return await_all(has_met,
                   "libfabric's provider " + rail_->endpoint().provider() +
                       " does not reach it: choose another one by SMDDP_OFI_PROVIDER",
                   deadline);
}

/// Drives both roads until all peers are reached. kTimeout names those that are not.
template <typename IsReached>
Status OfiTransport::await_all(const IsReached& is_reached, const std::string& lack,
                               Deadline deadline) {
  Result<Poller> poller = Poller::open();
  if (!poller.ok()) return poller.status();
  SMDDP_RETURN_IF_ERROR(watch(poller.value()));
  std::vector<MissingRank> missing;
  for (bool moved = true;; moved = control_->progress(*this) || poll()) {
    missing.clear();
    bool is_lost = false;
    for (const auto& channel : channels_) {
      if (is_reached(*channel)) continue;
      is_lost |= channel->is_lost();
      missing.push_back({channel->peer(), lack});
    }
    if (missing.empty() || is_lost || deadline.passed()) break;
    if (moved) continue;
    check_roads();
    arm(poller.value());
    poller.value().sleep(deadline);
  }
  unwatch(poller.value());
  return missing.empty() ? Status{} : missing_ranks_status(context_.labels, missing);
}

Status OfiTransport::watch(Poller& poller) {
  SMDDP_RETURN_IF_ERROR(control_->watch(poller));
  if (channels_.empty() || rail_ == nullptr) return {};
  SMDDP_RETURN_IF_ERROR(poller.enroll(timer_.descriptor()));
  if (wait_descriptor() >= 0) SMDDP_RETURN_IF_ERROR(poller.enroll(wait_descriptor()));
  poller_ = &poller;
  return {};
}

void OfiTransport::unwatch(Poller& poller) noexcept {
  control_->unwatch(poller);
  if (!in_forked_child()) unenroll();
}

/// -1 where only looking tells whether something has come.
int OfiTransport::wait_descriptor() const noexcept {
  return context_.ofi.wait ? rail_->endpoint().wait_descriptor() : -1;
}

void OfiTransport::unenroll() noexcept {
  if (poller_ == nullptr) return;
  poller_->remove(timer_.descriptor());
  if (wait_descriptor() >= 0) poller_->remove(wait_descriptor());
  poller_ = nullptr;
}

void OfiTransport::arm(Poller& poller) noexcept {
  control_->arm(poller);
  if (poller_ == nullptr) return;
  if (wait_descriptor() >= 0 && rail_->endpoint().may_sleep()) return poller.arm(wait_descriptor());
  timer_.start();
  poller.arm(timer_.descriptor());
}

Status OfiTransport::post_send(Rank peer, const SendDesc& send, Token token) {
  Channel* to = find(peer);
  if (to == nullptr || abandoned_) return unusable_peer(abandoned_, context_.labels, peer);
  to->outbound().push(send, token);
  return {};
}

Status OfiTransport::post_recv(Rank peer, const RecvDesc& recv, Token token) {
  Channel* from = find(peer);
  if (from == nullptr || abandoned_) return unusable_peer(abandoned_, context_.labels, peer);
  from->inbound().post(recv, token);
  return {};
}

void OfiTransport::post_notice(Rank peer, std::span<const std::byte> bytes) {
  if (Channel* to = find(peer); to != nullptr && bytes.size() <= kMaxNoticeBytes)
    to->outbound().push_notice(bytes);
}

bool OfiTransport::progress(CompletionSink& sink) {
  if (channels_.empty()) return false;
  bool moved = control_->progress(*this);
  if (rail_ != nullptr) moved |= poll();
  for (auto& channel : channels_) moved |= channel->progress_receives(sink);
  for (auto& channel : channels_) moved |= channel->progress_sends(sink);
  check_roads();
  if (moved) timer_.note_event();
  return moved;
}

void OfiTransport::serve() {
  control_->progress(*this);
  if (rail_ != nullptr) poll();
  for (auto& channel : channels_) channel->serve();
}

void OfiTransport::abandon() {
  abandoned_ = true;
  stop_rail();
}

void OfiTransport::stop_rail() {
  if (rail_ == nullptr) return;
  unenroll();
  rail_->stop();
  for (auto& channel : channels_) channel->abandon();
  rail_.reset();
}

bool OfiTransport::flushed() const noexcept {
  const auto flushed = [](const auto& channel) { return channel->flushed(); };
  return std::all_of(channels_.begin(), channels_.end(), flushed) && control_->flushed();
}

bool OfiTransport::flushed_to(Rank peer) const noexcept {
  const Channel* to = find(peer);
  return to == nullptr || (to->flushed() && control_->flushed_to(peer));
}

bool OfiTransport::delivered() const noexcept {
  bool all = flushed() && control_->delivered();
  // Each is asked, so that all answer at the same time.
  for (const auto& channel : channels_) all &= channel->delivered();
  return all;
}

void OfiTransport::notice(Rank peer, std::span<const std::byte> bytes) {
  if (Channel* from = find(peer); from != nullptr) from->on_control(bytes);
}

void OfiTransport::peer_closed(Rank peer, const Status& why) {
  if (Channel* lost = find(peer); lost != nullptr) lost->on_lost(why);
}

Channel* OfiTransport::find(Rank peer) const noexcept {
  const auto slot = static_cast<std::size_t>(peer);
  return peer >= 0 && slot < by_rank_.size() ? by_rank_[slot] : nullptr;
}

bool OfiTransport::poll() {
  std::array<Endpoint::Event, kEventsAtOnce> events;
  bool moved = false;
  for (int polls = 0; polls < kPollsAtOnce; ++polls) {
    const std::size_t count = rail_->endpoint().poll(events);
    if (count == 0) break;
    moved = true;
    for (std::size_t i = 0; i < count; ++i) handle(events[i]);
  }
  return moved;
}

void OfiTransport::handle(const Endpoint::Event& event) {
  if (event.operation == nullptr) {
    if (event.error == 0) take_chunk(slot_of(event.immediate), chunk_of(event.immediate));
    return;
  }
  Operation& operation = *event.operation;
  const std::uint32_t number = operation.number;
  Channel* const channel = operation.channel;
  if (event.error != 0 && channel != nullptr) {
    channel->on_fabric_error({StatusCode::kPeerLost, rail_->endpoint().error_text(event.error)});
  }
  switch (operation.kind) {
    case OperationKind::kReceive:
      rail_->note_received();
      if (event.error != 0 || !take_message(number, event.bytes)) rail_->give_back_received(number);
      break;
    case OperationKind::kSend:
      rail_->give_back_sent(number);
      if (operation.token.has_value()) channel->on_sent(*operation.token, event.error == 0);
      break;
    case OperationKind::kWrite:
      rail_->give_back(operation);
      channel->on_chunk_sent(number);
      break;
    case OperationKind::kTaggedReceive:
      rail_->give_back(operation);
      if (event.error == 0) take_chunk(number, 0);
      break;
  }
}

bool OfiTransport::take_message(std::uint32_t buffer, std::size_t bytes) {
  MessageHeader header;
  if (bytes < sizeof(header)) return false;
  const auto message = std::as_const(*rail_).received(buffer).first(bytes);
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.from >= by_rank_.size()) return false;
  Channel* const channel = by_rank_[header.from];
  // Whoever does not know the token that this rank gave to the peer is a stranger.
  if (channel == nullptr || !channel->is_from_peer(header)) return false;
  return channel->on_message(buffer, header, message.subspan(sizeof(header)));
}

void OfiTransport::take_chunk(std::uint32_t slot, std::uint32_t chunk) {
  const OfiRail::Slot* const found = rail_->slot(slot);
  if (found != nullptr && chunk < found->chunks) found->channel->on_chunk(found->sequence);
}

void OfiTransport::check_roads() {
  const auto now = Deadline::Clock::now();
  if (now < next_road_check_) return;
  next_road_check_ = now + kRoadCheckPeriod;
  for (auto& channel : channels_) channel->check_road();
}

}  // namespace

const MakeTransport kMakeOfiTransport = [](const TransportContext& context) {
  return std::unique_ptr<Transport>{std::make_unique<OfiTransport>(context)};
};

}  // namespace smddp
