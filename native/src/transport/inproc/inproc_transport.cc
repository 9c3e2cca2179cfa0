#include "transport/inproc/inproc_transport.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "transport/inproc/switchboard.h"
#include "transport/posted_receive.h"
#include "transport/ring_queue.h"
#include "transport/unusable_peer.h"

namespace smddp {
namespace {

/// One end of a link.
class InprocPeer {
 public:
  InprocPeer(Rank rank, std::shared_ptr<Link> link, std::size_t side)
      : rank_(rank),
        link_(std::move(link)),
        out_(link_->lanes[side]),
        in_(link_->lanes[1 - side]),
        their_bell_(*link_->bells[1 - side]) {}

  Rank rank() const noexcept { return rank_; }

  void send(const SendDesc& send, Token token) {
    out_.send(send, token);
    their_bell_.ring();
  }
  void send_notice(std::span<const std::byte> bytes) {
    out_.send_notice(bytes);
    their_bell_.ring();
  }
  void receive(const RecvDesc& recv, Token token) { receives_.push({recv, token}); }

  bool progress(CompletionSink& sink) {
    const bool sent = report_sent(sink);
    return take_one(sink) || sent;
  }

  void abandon() {
    abandoned_ = true;
    receives_.clear();
    out_.forget_sends();
  }
  bool flushed() const { return closed_ || !out_.has_sends(); }
  void close() {
    out_.close();
    their_bell_.ring();
  }

 private:
  bool report_sent(CompletionSink& sink) {
    sent_.clear();
    out_.collect_sent(sent_);
    for (const Token token : sent_) {
      // The sink may abandon everything from inside `complete`.
      if (!abandoned_) sink.complete(token, {});
    }
    return !sent_.empty();
  }

  bool take_one(CompletionSink& sink) {
    if (closed_ || (mismatched_ && !abandoned_)) return false;
    Lane::Event event = in_.take(receives_.empty() ? nullptr : &receives_.front(), abandoned_);
    if (auto* received = std::get_if<Lane::Received>(&event)) {
      receives_.pop();
      their_bell_.ring();
      sink.complete(received->token, {});
    } else if (auto* notice = std::get_if<Lane::Notice>(&event)) {
      sink.notice(rank_, notice->bytes);
    } else if (auto* mismatch = std::get_if<Lane::Mismatch>(&event)) {
      mismatched_ = true;
      sink.mismatch(rank_, mismatch->theirs);
    } else if (std::holds_alternative<Lane::Discarded>(event)) {
      their_bell_.ring();
    } else if (std::holds_alternative<Lane::Closed>(event)) {
      closed_ = true;
      sink.peer_closed(rank_, {StatusCode::kPeerLost,
                               "rank " + std::to_string(rank_) + " closed the connection"});
    }
    return !std::holds_alternative<Lane::Nothing>(event);
  }

  Rank rank_;
  std::shared_ptr<Link> link_;
  Lane& out_;
  Lane& in_;
  Bell& their_bell_;
  RingQueue<PostedReceive> receives_;
  std::vector<Token> sent_;
  bool abandoned_ = false;
  bool mismatched_ = false;
  bool closed_ = false;
};

class InprocTransport final : public Transport {
 public:
  explicit InprocTransport(const TransportContext& context)
      : self_(context.self), labels_(context.labels), bell_(std::make_shared<Bell>(context.wake)) {}

  ~InprocTransport() override {
    // In a forked child the locks may be held by threads that do not exist there, and nothing else
    // is to undo.
    if (::getpid() != owner_) return;
    for (auto& peer : peers_) peer->close();
    if (!address_.empty()) Switchboard::instance().close(address_);
    bell_->silence();
  }
  InprocTransport(const InprocTransport&) = delete;
  InprocTransport& operator=(const InprocTransport&) = delete;

  std::string_view name() const noexcept override { return "inproc"; }

  Result<std::string> listen() override {
    address_ = Switchboard::instance().open();
    return address_;
  }

  Status connect(std::span<const PeerAddress> peers, const std::string& secret,
                 const std::string& context, Deadline deadline) override {
    const Switchboard::Caller caller{self_, labels_, address_, secret + "\n" + context, bell_};
    std::vector<Switchboard::Call> calls;
    for (const PeerAddress& peer : peers) calls.push_back({peer.rank, peer.address, nullptr});
    const Status status = Switchboard::instance().connect(caller, calls, deadline);
    // Also when somebody is missing: those who came hear of this rank's end through their links.
    for (const Switchboard::Call& call : calls) {
      if (!call.is_connected()) continue;
      peers_.push_back(
          std::make_unique<InprocPeer>(call.rank, call.link, self_ < call.rank ? 0 : 1));
    }
    return status;
  }

  // Peers wake this rank through its bell; there is no descriptor.
  Status watch(Poller&) override { return {}; }
  void unwatch(Poller&) noexcept override {}
  void arm(Poller&) noexcept override {}

  Status post_send(Rank peer, const SendDesc& send, Token token) override {
    InprocPeer* to = find(peer);
    if (to == nullptr || abandoned_) return unusable_peer(abandoned_, labels_, peer);
    to->send(send, token);
    return {};
  }
  Status post_recv(Rank peer, const RecvDesc& recv, Token token) override {
    InprocPeer* from = find(peer);
    if (from == nullptr || abandoned_) return unusable_peer(abandoned_, labels_, peer);
    from->receive(recv, token);
    return {};
  }
  void post_notice(Rank peer, std::span<const std::byte> bytes) override {
    if (InprocPeer* to = find(peer); to != nullptr && bytes.size() <= kMaxNoticeBytes)
      to->send_notice(bytes);
  }

  bool progress(CompletionSink& sink) override {
    bool moved = false;
    for (auto& peer : peers_) moved |= peer->progress(sink);
    return moved;
  }
  void abandon() override {
    abandoned_ = true;
    for (auto& peer : peers_) peer->abandon();
  }
  bool flushed() const noexcept override {
    return std::all_of(peers_.begin(), peers_.end(),
                       [](const auto& peer) { return peer->flushed(); });
  }
  bool flushed_to(Rank peer) const noexcept override {
    const InprocPeer* to = find(peer);
    return to == nullptr || to->flushed();
  }

 private:
  InprocPeer* find(Rank rank) const {
    for (const auto& peer : peers_) {
      if (peer->rank() == rank) return peer.get();
    }
    return nullptr;
  }

  const pid_t owner_ = ::getpid();
  Rank self_;
  std::vector<Rank> labels_;
  std::shared_ptr<Bell> bell_;
  std::string address_;
  std::vector<std::unique_ptr<InprocPeer>> peers_;
  bool abandoned_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_inproc_transport(const TransportContext& context) {
  return std::make_unique<InprocTransport>(context);
}

}  // namespace smddp
