#include "engine/mailbox.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/rank_label.h"

namespace smddp {
namespace {

// Whether sender and receiver agree is told by the notes.
constexpr Envelope kNoEnvelope{};

std::size_t bytes_of(const Request& request) { return request.count * size_of(request.dtype); }

std::string elements(DType dtype, std::uint64_t count) {
  return std::to_string(count) + " elements of " + std::string{name_of(dtype)};
}

}  // namespace

Mailbox::Mailbox(Group& group)
    : group_(group),
      said_goodbye_(static_cast<std::size_t>(group.placement.world())),
      closed_(said_goodbye_.size()) {}

Transport& Mailbox::link_to(Rank rank) {
  const bool is_here = group_.placement.host_of(rank) == group_.placement.host_of(group_.self);
  return is_here ? *group_.messages_here : *group_.messages_between;
}

void Mailbox::tell(Rank rank, const MessageNote& note, std::span<const std::byte> payload) {
  std::array<std::byte, Transport::kMaxNoticeBytes> bytes;
  std::memcpy(bytes.data(), &note, sizeof(note));
  std::copy(payload.begin(), payload.end(), bytes.begin() + sizeof(note));
  link_to(rank).post_notice(rank, std::span{bytes}.first(sizeof(note) + payload.size()));
}

// ---- what this rank wants ----

void Mailbox::post(std::shared_ptr<WorkState> work) {
  transfers_.push_back(Transfer{.work = std::move(work), .begun = Deadline::Clock::now()});
  if (transfers_.back().is_send()) {
    post_send(transfers_.back());
  } else {
    post_receive(std::prev(transfers_.end()));
  }
}

void Mailbox::post_send(Transfer& transfer) {
  const Request& request = transfer.request();
  transfer.state = Transfer::State::kOffered;
  if (is_hopeless(transfer)) return;  // it is told so at the next look
  MessageNote note{.kind = MessageNote::Kind::kWhole,
                   .dtype = request.dtype,
                   .tag = request.tag,
                   .count = request.count};
  if (const std::size_t bytes = bytes_of(request); bytes <= kShortMessage) {
    transfer.state = Transfer::State::kHandingOver;
    tell(request.peer, note, {static_cast<const std::byte*>(request.in), bytes});
    return;
  }
  note.kind = MessageNote::Kind::kOffer;
  note.id = transfer.id = next_offer_++;
  transfer.state = Transfer::State::kOffered;
  tell(request.peer, note);
}

void Mailbox::post_receive(Transfers::iterator transfer) {
  transfer->state = Transfer::State::kWanted;
  const Request& request = transfer->request();
  const auto first = std::find_if(arrived_.begin(), arrived_.end(), [&](const Arrived& message) {
    return meets(request, message.from, message.note);
  });
  if (first == arrived_.end()) return;
  const Arrived message = std::move(*first);
  arrived_.erase(first);
  receive(transfer, message.from, message.note, message.payload);
}

bool Mailbox::meets(const Request& receive, Rank from, const MessageNote& note) {
  return receive.tag == note.tag && (receive.peer == from || receive.peer == kAnyRank);
}

void Mailbox::receive(Transfers::iterator transfer, Rank from, const MessageNote& note,
                      std::span<const std::byte> payload) {
  const Request& request = transfer->request();
  if (request.dtype != note.dtype || request.count != note.count) {
    fail({StatusCode::kMismatch,
          group_.name_of(group_.self) + " called " + describe(request) + ", but " +
              group_.name_of(from) + " sent " + elements(note.dtype, note.count) + " with tag " +
              std::to_string(note.tag) + "; dtype and size must be the same on both sides"});
    return;
  }
  transfer->work->source = from;
  if (note.kind == MessageNote::Kind::kWhole) {
    if (!payload.empty()) std::memcpy(request.out, payload.data(), payload.size());
    end(transfer);
    return;
  }
  transfer->state = Transfer::State::kMoving;
  transfer->id = next_token_++;
  const RecvDesc recv{static_cast<std::byte*>(request.out), bytes_of(request), note.id,
                      &kNoEnvelope};
  fail(link_to(from).post_recv(from, recv, static_cast<Token>(transfer->id)));
  tell(from, {.kind = MessageNote::Kind::kAccept, .id = note.id});
}

// ---- what comes in ----

bool Mailbox::progress() {
  bool moved = false;
  if (group_.messages_here) moved |= group_.messages_here->progress(*this);
  if (group_.messages_between) moved |= group_.messages_between->progress(*this);
  return finish_handed_over() || moved;
}

bool Mailbox::finish_handed_over() {
  const std::size_t before = ended_.size();
  for (auto transfer = transfers_.begin(); transfer != transfers_.end();) {
    const auto current = transfer++;
    if (current->state != Transfer::State::kHandingOver) continue;
    const Rank peer = current->request().peer;
    if (link_to(peer).flushed_to(peer)) end(current);
  }
  return ended_.size() > before;
}

void Mailbox::notice(Rank peer, std::span<const std::byte> bytes) {
  const std::optional<MessageNote> note = to_note(bytes);
  if (!note) return;
  switch (note->kind) {
    case MessageNote::Kind::kWhole:
    case MessageNote::Kind::kOffer:
      on_message(peer, *note, bytes.subspan(sizeof(*note)));
      break;
    case MessageNote::Kind::kAccept:
      on_accept(peer, note->id);
      break;
    case MessageNote::Kind::kGoodbye:
      on_goodbye(peer, bytes.subspan(sizeof(*note)));
      break;
    case MessageNote::Kind::kFault:
      if (!fault_) fault_ = decode(bytes.subspan(sizeof(*note)));
      break;
  }
}

void Mailbox::on_message(Rank from, const MessageNote& note, std::span<const std::byte> payload) {
  const auto first = std::find_if(transfers_.begin(), transfers_.end(), [&](const Transfer& one) {
    return one.state == Transfer::State::kWanted && meets(one.request(), from, note);
  });
  if (first == transfers_.end()) {
    arrived_.push_back({from, note, {payload.begin(), payload.end()}});
  } else {
    receive(first, from, note, payload);
  }
}

void Mailbox::on_goodbye(Rank from, std::span<const std::byte> leaving) {
  said_goodbye_[static_cast<std::size_t>(from)] = true;
  const std::optional<Notice> notice = decode(leaving);
  if (notice) group_.board->set_left(from, notice->operations, notice->text);
}

void Mailbox::on_accept(Rank from, std::uint64_t offer) {
  const auto transfer = find(Transfer::State::kOffered, offer);
  if (transfer == transfers_.end() || transfer->request().peer != from) return;
  const Request& request = transfer->request();
  transfer->state = Transfer::State::kMoving;
  transfer->id = next_token_++;
  const SendDesc send{static_cast<const std::byte*>(request.in), bytes_of(request), offer,
                      &kNoEnvelope};
  fail(link_to(from).post_send(from, send, static_cast<Token>(transfer->id)));
}

void Mailbox::complete(Token token, Status status) {
  fail(std::move(status));
  const auto transfer = find(Transfer::State::kMoving, token);
  if (transfer != transfers_.end()) end(transfer);
}

void Mailbox::mismatch(Rank peer, const Envelope&) {
  fail({StatusCode::kMismatch, group_.name_of(peer) + " sent a message that was not asked for"});
}

void Mailbox::peer_closed(Rank peer, const Status&) {
  closed_[static_cast<std::size_t>(peer)] = true;
}

Mailbox::Transfers::iterator Mailbox::find(Transfer::State state, std::uint64_t id) {
  return std::find_if(transfers_.begin(), transfers_.end(),
                      [&](const Transfer& one) { return one.state == state && one.id == id; });
}

// ---- how it ends ----

void Mailbox::end(Transfers::iterator transfer) {
  ended_.push_back(std::move(transfer->work));
  transfers_.erase(transfer);
}

void Mailbox::fail(Status why) {
  if (failure_.ok()) failure_ = std::move(why);
}

std::vector<std::shared_ptr<WorkState>> Mailbox::take_ended() { return std::exchange(ended_, {}); }

std::vector<std::shared_ptr<WorkState>> Mailbox::abandon() {
  if (group_.messages_here) group_.messages_here->abandon();
  if (group_.messages_between) group_.messages_between->abandon();
  while (!transfers_.empty()) end(transfers_.begin());
  arrived_.clear();
  return take_ended();
}

void Mailbox::tell_of_fault(const Notice& fault) {
  const std::string bytes = encode(fault);
  for (Rank rank = 0; rank < group_.placement.world(); ++rank) {
    const bool is_here = group_.placement.host_of(rank) == group_.placement.host_of(group_.self);
    if (is_here || closed_[static_cast<std::size_t>(rank)]) continue;
    tell(rank, {.kind = MessageNote::Kind::kFault}, std::as_bytes(std::span{bytes}));
  }
}

void Mailbox::say_goodbye(const Notice& leaving) {
  const std::string bytes = encode(leaving);
  for (Rank rank = 0; rank < group_.placement.world(); ++rank) {
    if (rank == group_.self) continue;
    tell(rank, {.kind = MessageNote::Kind::kGoodbye}, std::as_bytes(std::span{bytes}));
  }
  progress();
}

bool Mailbox::delivered() const {
  return (!group_.messages_here || group_.messages_here->delivered()) &&
         (!group_.messages_between || group_.messages_between->delivered());
}

bool Mailbox::is_cut_off(Rank rank) const {
  const auto index = static_cast<std::size_t>(rank);
  return closed_[index] && !said_goodbye_[index];
}

bool Mailbox::is_hopeless(const Transfer& transfer) const {
  const auto is_closed = [this](Rank rank) { return closed_[static_cast<std::size_t>(rank)]; };
  const auto will_not_send = [&](Rank rank) {
    return rank == group_.self || said_goodbye_[static_cast<std::size_t>(rank)] || is_closed(rank);
  };
  const Rank peer = transfer.peer();
  if (transfer.state == Transfer::State::kMoving) return is_closed(peer);
  if (transfer.is_send()) return group_.board->has_finished(peer) || is_closed(peer);
  if (peer != kAnyRank) return will_not_send(peer);
  for (Rank rank = 0; rank < group_.placement.world(); ++rank) {
    if (!will_not_send(rank)) return false;
  }
  return true;
}

std::string Mailbox::describe(const Request& request) const {
  const bool is_send = request.message == MessageSide::kSend;
  const std::string peer = request.peer == kAnyRank
                               ? "any rank"
                               : "rank " + std::to_string(label_of(group_.labels, request.peer));
  return (is_send ? "send to " : "recv from ") + peer + " (" +
         elements(request.dtype, request.count) + ", tag " + std::to_string(request.tag) + ")";
}

}  // namespace smddp
