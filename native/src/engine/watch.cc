#include "engine/watch.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/log.h"

namespace smddp {
namespace {

// A rank says for whom it waits when it has waited this long, and then again and again.
constexpr std::chrono::milliseconds kFirstAnnouncement{200};
constexpr std::chrono::milliseconds kAnnouncementPeriod{500};
// A rank that misses nobody itself gives those who do a moment to say so first.
constexpr std::chrono::milliseconds kSecondHandGrace{1000};
// Before that nobody has said yet that it waits.
constexpr std::chrono::milliseconds kAllHaveAnnounced{2 * kFirstAnnouncement};
// How long an operation may still complete after a rank of it has died.
constexpr std::chrono::milliseconds kLastPart{1};
// How long an operation may still complete after a later one has failed elsewhere.
constexpr std::chrono::milliseconds kLaterFaultGrace{500};
constexpr std::chrono::milliseconds kLaterFaultLook{10};

}  // namespace

Watch::Watch(Group& group, const Config& config)
    : group_(group), config_(config), closed_(static_cast<std::size_t>(group.placement.world())) {}

void Watch::begin(const Signature& operation, const Request& request) {
  operation_ = operation;
  name_ = request.name;
  on_device_ = request.device_part != nullptr;
  running_ = true;
  timeout_ = request.timeout;
  clock_runs_ = false;
  warned_ = false;
  death_seen_.reset();
  later_fault_seen_.reset();
  group_.board->set_started(group_.self, operation);
}

void Watch::start_clock() {
  if (clock_runs_) return;
  clock_runs_ = true;
  deadline_ = Deadline::after(timeout_);
  begun_ = Clock::now();
  next_announcement_ = begun_ + kFirstAnnouncement;
}

void Watch::set_deadline(Deadline deadline) noexcept {
  start_clock();
  deadline_ = deadline;
}

Deadline Watch::deadline() {
  start_clock();
  return deadline_;
}

void Watch::end() {
  running_ = false;
  if (std::exchange(announced_, false)) group_.board->set_not_waiting(group_.self);
}

Status Watch::inspect(const Execution& execution) {
  start_clock();
  if (!group_.board->has_fault()) look_for_the_dead();
  if (!group_.board->has_fault()) look_for_leavers();
  if (on_device_ && !group_.board->has_fault()) static_cast<void>(compare());
  if (!group_.board->has_fault()) look_at_the_clock(execution);
  return verdict();
}

// A fault may belong to a later operation: who found it has finished the one that runs here, so
// everything may be there and only waits to be looked at. Over tcp it may also be lost with a dead
// rank, hence the limit.
Status Watch::verdict() {
  const Fault fault = group_.board->fault();
  if (fault.status.ok() || fault.sequence <= operation_.sequence) return fault.status;
  const auto now = Clock::now();
  if (!later_fault_seen_) later_fault_seen_ = now;
  return now < *later_fault_seen_ + kLaterFaultGrace ? Status{} : fault.status;
}

Status Watch::report_own(const Status& own) {
  const StatusCode code = own.code() == StatusCode::kAborted ? StatusCode::kPeerLost : own.code();
  const std::string what = running_ ? operation() + " failed: " : "";
  const Fault fault{Status{code, what + group_.name_of(group_.self) + ": " + own.message()},
                    failing_sequence()};
  if (!group_.board->record_fault(fault)) return group_.board->fault().status;
  group_.bell->ring();
  return own;
}

// What fails between two operations leaves the first of them to its end elsewhere.
std::uint64_t Watch::failing_sequence() const { return operation_.sequence + (running_ ? 0 : 1); }

void Watch::report(const Fault& fault) {
  group_.board->record_fault(fault);
  group_.bell->ring();
}

void Watch::report(StatusCode code, const std::string& text) {
  report(Fault{Status{code, text}, failing_sequence()});
}

void Watch::broadcast(const Notice& notice) {
  if (group_.transport == nullptr) return;
  const std::string bytes = encode(notice);
  for (Rank rank = 0; rank < group_.placement.world(); ++rank) {
    if (is_local(rank) || closed_[static_cast<std::size_t>(rank)]) continue;
    group_.transport->post_notice(rank, std::as_bytes(std::span{bytes}));
  }
}

void Watch::on_mismatch(Rank peer, const Envelope& theirs) {
  report_difference(peer, to_signature(theirs));
}

void Watch::report_difference(Rank peer, const Signature& other) {
  if (other == operation_) {
    report(StatusCode::kMismatch,
           operation() + ": " + group_.name_of(group_.self) + " and " + group_.name_of(peer) +
               " do not agree on how many elements one of them sends to the other");
    return;
  }
  report(
      StatusCode::kMismatch,
      group_.name_of(group_.self) + " called " + operation() + ", but " + group_.name_of(peer) +
          " called " + group_.describe(other) +
          "; all ranks must call the same collectives, with the same arguments, in the same order");
}

void Watch::on_notice(Rank peer, std::span<const std::byte> bytes) {
  const std::optional<Notice> notice = decode(bytes);
  if (!notice) return;
  switch (notice->kind) {
    case Notice::Kind::kStarted:
      if (notice->waits_for < 0 || notice->waits_for >= group_.placement.world()) break;
      group_.board->set_started(peer, notice->signature);
      // Ranks that run different operations may each wait for the other, and no message that shows
      // it is ever sent.
      if (has_begun(notice->signature.sequence) && !(notice->signature == operation_))
        report_difference(peer, notice->signature);
      group_.board->set_waiting(peer, notice->signature.sequence, notice->waits_for, Clock::now());
      break;
    case Notice::Kind::kLeft:
      group_.board->set_left(peer, notice->operations, notice->text);
      break;
    case Notice::Kind::kFinished:
      group_.board->set_finished(peer);
      break;
    case Notice::Kind::kFault:
      on_fault(*notice);
      break;
  }
}

// Before its first operation a rank has not begun number 0 either.
bool Watch::has_begun(std::uint64_t sequence) const {
  return group_.board->last_signature(group_.self) && operation_.sequence == sequence;
}

void Watch::on_fault(const Notice& notice) {
  report(Fault{Status{notice.code, notice.text}, notice.operations});
}

// Not a verdict yet: a rank that left in order closes its connections too, and a rank that failed
// has sent its fault first. `look_for_the_dead` decides.
void Watch::on_closed(Rank peer, const Status&) { closed_[static_cast<std::size_t>(peer)] = true; }

std::vector<Rank> Watch::dead() const {
  std::vector<Rank> dead;
  const auto& locals = group_.local_ranks();
  for (std::size_t local = 0; local < group_.bell->peers().size(); ++local) {
    const auto& process = group_.bell->peers()[local];
    if (process != nullptr && process->has_died()) dead.push_back(locals[local]);
  }
  for (std::size_t rank = 0; rank < closed_.size(); ++rank) {
    if (closed_[rank]) dead.push_back(static_cast<Rank>(rank));
  }
  std::erase_if(dead, [this](Rank rank) { return group_.board->has_finished(rank); });
  return dead;
}

void Watch::look_for_the_dead() {
  const std::vector<Rank> dead = this->dead();
  // A dying rank may have recorded why, or another rank may have; that text says more than ours.
  if (dead.empty() || group_.board->has_fault()) return;
  // They may have done their part first, which then lies here and is only to be read.
  if (!death_seen_) death_seen_ = Clock::now();
  if (Clock::now() < *death_seen_ + kLastPart) return;
  report(StatusCode::kPeerLost, operation() + " failed: " + culprits(dead, "died"));
}

void Watch::look_for_leavers() {
  for (Rank rank = 0; rank < group_.placement.world(); ++rank) {
    const auto operations = group_.board->left_after(rank);
    if (rank == group_.self || !operations || *operations > operation_.sequence) continue;
    const std::string how = "left the group after " + std::to_string(*operations) + " operations";
    report(StatusCode::kPeerLost, operation() + " failed: " + leaver(rank, how));
    return;
  }
}

Status Watch::compare() {
  for (const Rank rank : group_.local_ranks()) {
    const auto theirs = group_.board->started_as(rank, operation_.sequence);
    if (!theirs || *theirs == operation_) continue;
    report_difference(rank, *theirs);
    return group_.board->fault().status;
  }
  return Status{};
}

void Watch::look_at_the_clock(const Execution& execution) {
  const auto now = Clock::now();
  if (now >= next_announcement_) {
    next_announcement_ = now + kAnnouncementPeriod;
    announce(execution);
  }
  if (!warned_ && now - begun_ >= config_.slow_warning) {
    warned_ = true;
    warn(execution);
  }
  if (deadline_.passed()) expire(execution);
}

bool Watch::is_local(Rank rank) const {
  return group_.placement.host_of(rank) == group_.placement.host_of(group_.self);
}

Suspects Watch::suspects(const Execution& execution) const {
  return find_suspects(
      {*group_.board, group_.placement, group_.self, operation_.sequence, missed(execution)},
      Clock::now());
}

// A GPU does not say for whom it waits. Ranks of other hosts that wait in the operation have told.
std::vector<Rank> Watch::missed(const Execution& execution) const {
  if (!on_device_) return execution.waiting_for();
  std::vector<Rank> ranks;
  for (Rank rank = 0; rank < group_.placement.world(); ++rank) {
    if (!is_local(rank) && group_.board->started(rank) <= operation_.sequence)
      ranks.push_back(rank);
  }
  return ranks;
}

// So everybody can tell at the deadline who has not started, and who only waits for another.
void Watch::announce(const Execution& execution) {
  const Suspects found = suspects(execution);
  const Rank other = found.foremost().empty() ? group_.self : found.foremost().front();
  announced_ = true;
  group_.board->set_waiting(group_.self, operation_.sequence, other, Clock::now());
  broadcast(Notice{.kind = Notice::Kind::kStarted, .signature = operation_, .waits_for = other});
}

void Watch::expire(const Execution& execution) {
  const Suspects found = suspects(execution);
  const auto now = Clock::now();
  const bool sure = found.first_hand && has_seen(found) &&
                    (group_.transport == nullptr || now >= begun_ + kAllHaveAnnounced);
  if (!sure && now < deadline_.at() + kSecondHandGrace) return;
  std::string why = "; nothing is missing";
  if (!found.missing.empty()) {
    why = "; missing: " + not_started(found.missing);
  } else if (!found.stuck.empty()) {
    why = "; " + culprits(found.stuck, "makes no progress");
  }
  report(StatusCode::kTimeout, operation() + " timed out after " + seconds_waited() + why);
}

// While the GPU is at it, what ranks of other hosts say may lie behind data that nobody reads yet;
// their neighbours know.
bool Watch::has_seen(const Suspects& found) const {
  return !on_device_ || std::any_of(found.missing.begin(), found.missing.end(),
                                    [this](Rank rank) { return is_local(rank); });
}

void Watch::warn(const Execution& execution) {
  const std::string late = culprits(suspects(execution).foremost(), "late");
  log_line(LogLevel::kWarn, group_.name_of(group_.self) + ": " + operation() + " has waited " +
                                seconds_waited() + " for " +
                                (late.empty() ? "no other rank" : late));
}

std::string Watch::seconds_waited() const {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f s",
                std::chrono::duration<double>(Clock::now() - begun_).count());
  return text;
}

std::string Watch::operation() const {
  return group_.describe(operation_) + (name_.empty() ? "" : " of '" + name_ + "'");
}

std::string Watch::last_seen(Rank rank) const {
  const auto signature = group_.board->last_signature(rank);
  if (signature) return ", last operation: " + group_.describe(*signature);
  // What a rank of another host did is known only since it told us that it waits.
  return is_local(rank) ? ", no operation yet" : "";
}

std::string Watch::culprits(const std::vector<Rank>& ranks, const std::string& what) const {
  std::string text;
  for (const Rank rank : ranks) {
    if (!text.empty()) text += "; ";
    text += group_.name_of(rank) + " " + what + last_seen(rank);
  }
  return text;
}

// A rank of another host may be through with an operation of its GPU, and say nothing of it.
std::string Watch::not_started(const std::vector<Rank>& ranks) const {
  std::string text;
  for (const Rank rank : ranks) {
    const bool is_certain = !on_device_ || is_local(rank);
    text += (text.empty() ? "" : "; ") +
            culprits({rank}, is_certain ? "has not started it" : "has not said that it started it");
  }
  return text;
}

std::string Watch::leaver(Rank rank, const std::string& how) const {
  const std::string why = group_.board->parting_words(rank);
  return why.empty() ? culprits({rank}, how) : group_.name_of(rank) + " " + how + ": " + why;
}

Deadline Watch::next_look() {
  start_clock();
  const auto now = Clock::now();
  auto at = deadline_.at();
  if (death_seen_) at = now;  // which is a millisecond from now
  if (later_fault_seen_) at = std::min(at, now + kLaterFaultLook);
  if (!warned_) at = std::min(at, begun_ + config_.slow_warning);
  at = std::min(at, next_announcement_);
  // Other hosts' news and deaths wake the sleeper by themselves; the rest is a safety net.
  return Deadline::after(std::clamp<std::chrono::nanoseconds>(
      at - now, std::chrono::milliseconds{1}, std::chrono::seconds{1}));
}

}  // namespace smddp
