#include "transport/ofi/ofi_transport.h"

#include <poll.h>
#include <sched.h>

#include <algorithm>
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
#include "transport/ofi/rails.h"
#include "transport/ofi/yielding.h"
#include "transport/tcp/address.h"
#include "transport/tcp/tcp_transport.h"
#include "transport/unusable_peer.h"

namespace smddp {
namespace {

constexpr std::chrono::seconds kRoadCheckPeriod{1};

class OfiTransport final : public Transport, private CompletionSink {
 public:
  explicit OfiTransport(TransportContext context)
      : context_(std::move(context)), control_(make_control(context_)) {}
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
  bool can_sleep() const noexcept override { return !sources_.empty(); }
  bool sleep(std::chrono::milliseconds longest) noexcept override;
  Status post_send(Rank peer, const SendDesc& send, Token token) override;
  Status post_recv(Rank peer, const RecvDesc& recv, Token token) override;
  void post_notice(Rank peer, std::span<const std::byte> bytes) override;
  bool progress(CompletionSink& sink) override;
  void abandon() override;
  bool flushed() const noexcept override;
  bool flushed_to(Rank peer) const noexcept override;
  bool delivered() const noexcept override;
  bool serve() override;

 private:
  // What the connections report.
  void complete(Token, Status) override {}
  void mismatch(Rank, const Envelope&) override {}
  void notice(Rank peer, std::span<const std::byte> bytes) override;
  void peer_closed(Rank peer, const Status& why) override;

  static std::unique_ptr<Transport> make_control(TransportContext context);
  std::vector<std::string> source_addresses() const;
  void make_channels(std::span<const PeerAddress> peers);
  Status hear_introductions(Deadline deadline);
  Status agree_on_rails(Deadline deadline);
  void log_rails() const;
  template <typename IsReached>
  Status await_all(const IsReached& is_reached, const std::string& lack, Deadline deadline);
  bool can_wait() const noexcept;
  void open_sources();
  void unenroll() noexcept;
  Channel* find(Rank peer) const noexcept;
  bool poll();
  void check_roads();
  void stop_rails();

  TransportContext context_;
  std::unique_ptr<Transport> control_;
  std::unique_ptr<OfiRails> rails_;  ///< null after `abandon`
  /// What `sleep` waits for: the connections and the rails; empty where these have no descriptors.
  std::vector<pollfd> sources_;
  Yielding yielding_;
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
    static_cast<void>(rails_.release());
    for (auto& channel : channels_) static_cast<void>(channel.release());
    return;
  }
  stop_rails();
}

Result<std::string> OfiTransport::listen() {
  const Result<const Library*> library = Library::of_process();
  if (!library.ok()) return library.status();
  Result<std::vector<InfoPtr>> offers =
      choose_provider(*library.value(), {.name = context_.ofi.provider,
                                         .sources = source_addresses(),
                                         .rank = label_of(context_.labels, context_.self),
                                         .rma = context_.ofi.rma});
  if (!offers.ok()) return offers.status();
  Result<std::unique_ptr<OfiRails>> rails =
      OfiRails::open(*library.value(), std::move(offers).value(), context_.stripe_bytes);
  if (!rails.ok()) return rails.status();
  rails_ = std::move(rails).value();
  return control_->listen();
}

/// One connection is enough for what it carries.
std::unique_ptr<Transport> OfiTransport::make_control(TransportContext context) {
  context.rails.clear();
  return make_tcp_transport(context);
}

/// Of the interfaces that are rails, for providers over IP.
std::vector<std::string> OfiTransport::source_addresses() const {
  std::vector<std::string> addresses;
  for (const Interface& rail : context_.rails) addresses.push_back(rail.address);
  if (addresses.size() > 1) return addresses;
  if (!context_.listen_interface.empty()) return {context_.listen_interface};
  const TcpAddress here = local_address("", 0);
  return {here.hosts.empty() ? "127.0.0.1" : here.hosts.front()};
}

Status OfiTransport::connect(std::span<const PeerAddress> peers, const std::string& secret,
                             const std::string& context, Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(control_->connect(peers, secret, context + "\nofi", deadline));
  const RoomPerPeer room = room_per_peer(peers.size());
  SMDDP_RETURN_IF_ERROR(rails_->prepare(peers.size(), room));
  make_channels(peers);
  Introduction mine{.rma = rails_->first().has_rma(),
                    .room = room,
                    .provider = rails_->first().provider(),
                    .addresses = {}};
  for (std::size_t i = 0; i < rails_->size(); ++i)
    mine.addresses.push_back((*rails_)[i].endpoint().address());
  for (auto& channel : channels_) channel->introduce(mine);
  SMDDP_RETURN_IF_ERROR(hear_introductions(deadline));
  for (auto& channel : channels_) SMDDP_RETURN_IF_ERROR(channel->open(*rails_, room));
  SMDDP_RETURN_IF_ERROR(agree_on_rails(deadline));
  open_sources();
  log_rails();
  return {};
}

void OfiTransport::open_sources() {
  if (channels_.empty() || !can_wait()) return;
  const auto add = [this](int fd) { sources_.push_back({.fd = fd, .events = POLLIN}); };
  add(control_->descriptor());
  for (std::size_t i = 0; i < rails_->size(); ++i) add((*rails_)[i].endpoint().wait_descriptor());
}

void OfiTransport::log_rails() const {
  const std::string self = "rank " + std::to_string(label_of(context_.labels, context_.self));
  log_line(LogLevel::kInfo, self + ": libfabric's provider " + rails_->first().provider() +
                                (rails_->first().has_rma() ? ", RMA writes" : ", tagged messages") +
                                ", on " + rails_->names());
  for (const auto& channel : channels_) {
    if (channel->rails() == rails_->size()) continue;
    log_line(LogLevel::kInfo, self + ": " + std::to_string(channel->rails()) + " of " +
                                  std::to_string(rails_->size()) + " rails lead to rank " +
                                  std::to_string(label_of(context_.labels, channel->peer())));
  }
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

Status OfiTransport::agree_on_rails(Deadline deadline) {
  // The peer waits for what is said here, and later nobody may drive this rank for a while.
  const auto agree = [this](Channel& channel) {
    return channel.agree_on_rails() && control_->flushed_to(channel.peer());
  };
  return await_all(agree,
                   "libfabric's provider " + rails_->first().provider() +
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
  if (channels_.empty()) return {};
  // Always, and not only before a sleep for which it is armed: peers that leave ask for receipts
  // while nobody drives this rank. Little else comes over the connections.
  SMDDP_RETURN_IF_ERROR(poller.add(control_->descriptor()));
  if (rails_ == nullptr) return {};
  SMDDP_RETURN_IF_ERROR(poller.enroll(timer_.descriptor()));
  for (std::size_t i = 0; can_wait() && i < rails_->size(); ++i)
    SMDDP_RETURN_IF_ERROR(poller.enroll((*rails_)[i].endpoint().wait_descriptor()));
  poller_ = &poller;
  return {};
}

void OfiTransport::unwatch(Poller& poller) noexcept {
  if (in_forked_child() || channels_.empty()) return;
  poller.remove(control_->descriptor());
  unenroll();
}

/// False where only looking tells whether something has come.
bool OfiTransport::can_wait() const noexcept { return context_.ofi.wait && rails_->can_wait(); }

void OfiTransport::unenroll() noexcept {
  if (poller_ == nullptr) return;
  poller_->remove(timer_.descriptor());
  for (std::size_t i = 0; can_wait() && i < rails_->size(); ++i)
    poller_->remove((*rails_)[i].endpoint().wait_descriptor());
  poller_ = nullptr;
}

void OfiTransport::arm(Poller& poller) noexcept {
  if (poller_ == nullptr) return;
  if (can_wait() && rails_->may_sleep()) {
    for (std::size_t i = 0; i < rails_->size(); ++i)
      poller.arm((*rails_)[i].endpoint().wait_descriptor());
    return;
  }
  timer_.start();
  poller.arm(timer_.descriptor());
}

bool OfiTransport::sleep(std::chrono::milliseconds longest) noexcept {
  if (yielding_.step()) return true;
  if (!rails_->may_sleep()) {
    // What has come may be for the provider alone, and need another turn of it.
    ::sched_yield();
    return true;
  }
  return ::poll(sources_.data(), sources_.size(), static_cast<int>(longest.count())) > 0;
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
  moved |= poll();
  for (auto& channel : channels_) moved |= channel->progress_receives(sink);
  for (auto& channel : channels_) moved |= channel->progress_sends(sink);
  check_roads();
  if (moved) {
    timer_.note_event();
    yielding_.note_event();
  }
  return moved;
}

bool OfiTransport::serve() {
  control_->progress(*this);
  poll();
  bool is_owed = false;
  for (auto& channel : channels_) is_owed |= channel->serve();
  return is_owed;
}

void OfiTransport::abandon() {
  abandoned_ = true;
  stop_rails();
}

void OfiTransport::stop_rails() {
  if (rails_ == nullptr) return;
  unenroll();
  sources_.clear();
  rails_->stop();
  for (auto& channel : channels_) channel->abandon();
  rails_.reset();
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

bool OfiTransport::poll() { return rails_ != nullptr && rails_->poll(by_rank_); }

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
