#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "provider/nccl/abi.h"

namespace smddp::nccl::fake {

// What follows lies in a file that all ranks map. A new file is all zeros, so that is the state
// everything begins with. Parts that nobody touches take no memory.

inline constexpr std::size_t kSlotBytes = std::size_t{256} << 10;
inline constexpr std::size_t kMailBytes = std::size_t{64} << 10;

struct Meeting {
  std::atomic<int> joined;
  std::atomic<int> aborted;
  std::atomic<int> arrived;  ///< at the barrier
  std::atomic<unsigned> round;
};
static_assert(std::atomic<int>::is_always_lock_free);

/// One rank's part of a collective's chunk.
struct Slot {
  std::array<std::byte, kSlotBytes> data;
};

/// A chunk under way from one rank to another.
struct Mailbox {
  std::atomic<std::uint32_t> bytes;  ///< 0: empty
  alignas(64) std::array<std::byte, kMailBytes> data;
};

/// The ranks of one communicator, as one of them sees them. What waits returns false once this rank
/// has aborted (`aborted`), or another has and says so.
class World {
 public:
  World(const UniqueId& id, int rank, int ranks, const std::atomic<bool>& aborted)
      : path_(path_of(id)), rank_(rank), ranks_(ranks), aborted_(aborted) {}
  ~World() {
    if (base_ != nullptr) ::munmap(base_, bytes());
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Maps the file, which the first to come creates.
  bool open() {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return false;
    void* mapped = MAP_FAILED;
    if (::ftruncate(file, static_cast<off_t>(bytes())) == 0)
      mapped = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (mapped == MAP_FAILED) return false;
    base_ = static_cast<std::byte*>(mapped);
    return true;
  }

  /// Waits for the others. Nobody needs the file's name after the last, or if this rank gives up.
  bool join() {
    const bool last = meeting().joined.fetch_add(1) + 1 == ranks_;
    const bool all = last || wait_until([this] { return meeting().joined.load() >= ranks_; });
    if (last || !all) ::unlink(path_.c_str());
    return all;
  }

  bool barrier() {
    const unsigned round = meeting().round.load();
    if (meeting().arrived.fetch_add(1) + 1 < ranks_)
      return wait_until([&] { return meeting().round.load() != round; });
    meeting().arrived.store(0);
    meeting().round.fetch_add(1);
    return true;
  }

  /// Sleeps more the longer it takes: the ranks may be more than the cores.
  template <typename Condition>
  bool wait_until(Condition condition) const {
    for (int tries = 0; !condition(); ++tries) {
      if (aborted_.load() || meeting().aborted.load() != 0) return false;
      if (tries < 50)
        ::sched_yield();
      else
        std::this_thread::sleep_for(std::chrono::microseconds{tries < 1000 ? 20 : 500});
    }
    return true;
  }

  void tell_abort() { meeting().aborted.store(1); }

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  std::byte* slot(int rank) const {
    return reinterpret_cast<Slot*>(base_ + kMeetingBytes)[rank].data.data();
  }
  Mailbox& mailbox(int from, int to) const {
    std::byte* const first = base_ + kMeetingBytes + count(ranks_) * sizeof(Slot);
    return reinterpret_cast<Mailbox*>(first)[count(from) * count(ranks_) + count(to)];
  }

 private:
  static constexpr std::size_t kMeetingBytes = 4096;

  /// Depends on each byte of the id: who was given another one does not meet the rest.
  static std::string path_of(const UniqueId& id) {
    const std::string_view bytes{id.bytes.data(), id.bytes.size()};
    std::array<char, 64> name{};
    std::snprintf(name.data(), name.size(), "/dev/shm/fakenccl-%016zx%016zx",
                  std::hash<std::string_view>{}(bytes.substr(0, 64)),
                  std::hash<std::string_view>{}(bytes.substr(64)));
    return name.data();
  }
  static std::size_t count(int number) { return static_cast<std::size_t>(number); }
  std::size_t bytes() const {
    return kMeetingBytes + count(ranks_) * sizeof(Slot) +
           count(ranks_) * count(ranks_) * sizeof(Mailbox);
  }
  Meeting& meeting() const { return *reinterpret_cast<Meeting*>(base_); }

  const std::string path_;
  const int rank_;
  const int ranks_;
  const std::atomic<bool>& aborted_;
  std::byte* base_ = nullptr;
};

}  // namespace smddp::nccl::fake
