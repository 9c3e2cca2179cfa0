#include "engine/meeting.h"

#include <algorithm>
#include <cstdint>
#include <thread>

namespace smddp {
namespace {

using std::chrono::milliseconds;

constexpr const char* kPresent = "present";
constexpr milliseconds kFirstPause{1};
constexpr milliseconds kLongestPause{100};
// A store that does not answer for so long is reported by who connects.
constexpr std::chrono::seconds kStoreTime{10};
// Taken off the number of those present by a member that leaves an incomplete group, so that it
// never becomes complete.
constexpr std::int64_t kNever = std::int64_t{1} << 40;

constexpr int kLooksAtWithdrawal = 5;
constexpr milliseconds kLookAtWithdrawal{10};

/// How many members are there after the change; negative when the group will never be complete. The
/// world when the store has failed: connecting tells how.
std::int64_t change_attendance(Store& store, std::int64_t by, int world) {
  const Result<std::int64_t> now = store.add(kPresent, by, Deadline::after(kStoreTime));
  return now.ok() ? now.value() : world;
}

/// Whether this member may leave without connecting: it has made sure that no other will.
bool withdraw(Store& store, int world) {
  std::int64_t present = change_attendance(store, 0, world);
  // Another member that withdraws puts back what it took when it finds the group complete.
  for (int looks = 0; present < 0 && looks < kLooksAtWithdrawal; ++looks) {
    std::this_thread::sleep_for(kLookAtWithdrawal);
    present = change_attendance(store, 0, world);
  }
  if (present < 0) return true;
  if (present == world) return false;
  // Others that withdraw at the same time have taken from the number too.
  const std::int64_t taken = change_attendance(store, -kNever, world);
  if (((taken % kNever) + kNever) % kNever != world) return true;
  // It was completed between the two looks, so others may be connecting by now.
  change_attendance(store, kNever, world);
  return false;
}

}  // namespace

void Meeting::need(Deadline deadline) {
  const std::lock_guard lock{mutex_};
  if (!needed_until_) needed_until_ = deadline;
  changed_.notify_all();
}

void Meeting::cancel() {
  const std::lock_guard lock{mutex_};
  cancelled_ = true;
  changed_.notify_all();
}

Meeting::Wish Meeting::wait_for_wish(milliseconds at_most) {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, at_most, [this] { return needed_until_.has_value() || cancelled_; });
  if (needed_until_) return Wish::kConnect;
  return cancelled_ ? Wish::kCancel : Wish::kNone;
}

std::optional<Deadline> Meeting::wait(Store& store, int world, milliseconds timeout) {
  std::int64_t present = change_attendance(store, 1, world);
  for (milliseconds pause = kFirstPause; present != world;
       pause = std::min(2 * pause, kLongestPause)) {
    const Wish wish = wait_for_wish(pause);
    if (wish == Wish::kConnect) break;
    if (wish == Wish::kCancel) {
      if (withdraw(store, world)) return std::nullopt;
      break;
    }
    present = change_attendance(store, 0, world);
  }
  const std::lock_guard lock{mutex_};
  return needed_until_ ? *needed_until_ : Deadline::after(timeout);
}

}  // namespace smddp
