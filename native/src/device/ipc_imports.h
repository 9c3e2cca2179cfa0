#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "device/host_place.h"
#include "device/ipc_pool.h"
#include "device/ipc_words.h"
#include "provider/cuda/gpu.h"

namespace smddp {

/// What this rank has opened of the allocations that the other ranks of its host offer. Threads of
/// their own open and close it, because the driver may take its time, and nobody waits for them; it
/// is closed when nothing of this process waits for other ranks (see StreamsWait).
class IpcImports final : public std::enable_shared_from_this<IpcImports> {
 public:
  IpcImports(std::shared_ptr<const cuda::Gpu> gpu, HostPlace place)
      : gpu_(std::move(gpu)), place_(place), peers_(static_cast<std::size_t>(place.ranks)) {}

  /// Opens what is new, closes what was withdrawn, and answers. `peers`: by rank, null for this
  /// one. Their owners do not free what a kernel may be at.
  void look(const std::vector<const IpcPeer*>& peers);
  /// The GPU does not use any of it any more. The last call; `then` comes when no peer gets an
  /// answer any more.
  void close(const std::function<void()>& then);

 private:
  struct Opened {
    std::uint64_t id = 0;
    std::byte* start = nullptr;  ///< null: it could not be opened
    std::uint64_t process = 0;
  };
  struct Seen {
    std::atomic<std::uint32_t> changes{0};
    std::array<Opened, IpcWords::kMostOffers> opened{};
  };

  static bool has_news(const Seen& seen, const IpcPeer* there);
  void follow(Seen& seen, const IpcPeer& there);
  bool open(const IpcOffer& offer, Opened& opened, IpcAnswer& answer, const IpcPeer& there) const;
  void put_away(Opened& opened);
  void close_soon();
  void close_all();

  const std::shared_ptr<const cuda::Gpu> gpu_;
  const HostPlace place_;
  std::atomic<bool> is_at_it_{false};
  std::mutex mutex_;  ///< guards what is opened, and the next three
  bool is_over_ = false;
  bool is_closing_ = false;  ///< a thread is at the next
  std::vector<Opened> to_close_;
  std::vector<Seen> peers_;
};

}  // namespace smddp
