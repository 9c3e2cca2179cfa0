#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"

#include "base/completion.h"
#include "engine/group.h"
#include "engine/message_note.h"
#include "engine/notice.h"
#include "engine/work_state.h"

namespace smddp {

/// The messages between pairs of ranks of one communicator. Independent of its collectives: neither
/// waits for the other.
///
/// A receive meets the first message of its source with its tag that no earlier receive has met. A
/// short message travels inside its announcement. A long one is offered first, and goes straight
/// into the receiver's array once that is known; so a receive that comes late costs no memory here.
///
///   short   sender: whole ----------------------------> receiver
///   long    sender: offer --> receiver: accept --> sender: data --> receiver
///
/// Accepts go to the sender in the order in which the receiver has posted its buffers, and data
/// come back in the order of the accepts, as transports need it. Driven by the baton holder.
class Mailbox final : public CompletionSink {
 public:
  /// A message that is not over.
  struct Transfer {
    enum class State : std::uint8_t {
      kHandingOver,  ///< send: a short message on its way into the transport
      kOffered,      ///< send: waits for the receiver; `id` is the offer's
      kWanted,       ///< receive: waits for the sender
      kMoving        ///< its bytes are moving; `id` is the token
    };
    std::shared_ptr<WorkState> work;
    State state = State::kWanted;
    std::uint64_t id = 0;
    Deadline::Clock::time_point begun{};
    bool warned = false;

    const Request& request() const { return work->request; }
    /// The other rank; kAnyRank while that is open.
    Rank peer() const {
      const bool is_known = state == State::kMoving && !is_send();
      return is_known ? work->source : request().peer;
    }
    bool is_send() const { return request().message == MessageSide::kSend; }
  };

  /// The group outlives the mailbox.
  explicit Mailbox(Group& group);

  void post(std::shared_ptr<WorkState> work);
  bool progress();
  /// Those that are over since the last call.
  std::vector<std::shared_ptr<WorkState>> take_ended();
  /// Why no message can be trusted any more; ok while there is no reason.
  const Status& failure() const noexcept { return failure_; }
  /// Forgets all transfers and touches their arrays no more; returns their operations.
  std::vector<std::shared_ptr<WorkState>> abandon();

  /// Tells the ranks of other hosts that the group has failed. The notice of a transport for
  /// collectives may sit behind data that a rank has not come to; here nothing does.
  void tell_of_fault(const Notice& fault);
  /// What another rank has told so.
  const std::optional<Notice>& fault() const noexcept { return fault_; }
  /// Tells everybody that this rank will post nothing more. The notice of its leaving goes along:
  /// the one of the transport for collectives may come later.
  void say_goodbye(const Notice& leaving);
  /// Everything was handed over to the other ranks' hosts.
  bool delivered() const;

  std::list<Transfer>& transfers() noexcept { return transfers_; }
  /// Whether what the transfer waits for can still come: the ranks it needs have not left.
  bool is_hopeless(const Transfer& transfer) const;
  /// The connection to the rank is gone, and it has not said goodbye.
  bool is_cut_off(Rank rank) const;
  /// "recv from rank 1 (tag 5, float32, 10 elements)"
  std::string describe(const Request& request) const;

  // CompletionSink
  void complete(Token token, Status status) override;
  void mismatch(Rank peer, const Envelope& theirs) override;
  void notice(Rank peer, std::span<const std::byte> bytes) override;
  void peer_closed(Rank peer, const Status& why) override;

 private:
  using Transfers = std::list<Transfer>;
  /// A message that has been announced and no receive has met.
  struct Arrived {
    Rank from = 0;
    MessageNote note;
    std::vector<std::byte> payload;
  };

  static bool meets(const Request& receive, Rank from, const MessageNote& note);
  Transport& link_to(Rank rank);
  void tell(Rank rank, const MessageNote& note, std::span<const std::byte> payload = {});
  void post_send(Transfer& transfer);
  void post_receive(Transfers::iterator transfer);
  void on_message(Rank from, const MessageNote& note, std::span<const std::byte> payload);
  void on_goodbye(Rank from, std::span<const std::byte> leaving);
  void on_accept(Rank from, std::uint64_t offer);
  void receive(Transfers::iterator transfer, Rank from, const MessageNote& note,
               std::span<const std::byte> payload);
  bool finish_handed_over();
  Transfers::iterator find(Transfer::State state, std::uint64_t id);
  void end(Transfers::iterator transfer);
  void fail(Status why);

  Group& group_;
  Transfers transfers_;  ///< in the order in which they were posted
  std::deque<Arrived> arrived_;
  std::vector<std::shared_ptr<WorkState>> ended_;
  std::vector<bool> said_goodbye_;  ///< by rank
  std::vector<bool> closed_;        ///< by rank
  std::uint64_t next_offer_ = 0;
  Token next_token_ = 0;
  Status failure_;
  std::optional<Notice> fault_;
};

}  // namespace smddp
