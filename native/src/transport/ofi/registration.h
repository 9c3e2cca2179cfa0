#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>

#include "smddp/status.h"

#include "memory/release_listener.h"
#include "transport/ofi/endpoint.h"

namespace smddp {

/// Memory that the card may reach, by address and length. A registration of the process's
/// registered heap is kept for the next message, up to a bound, until its memory is released. One
/// of any other memory ends with its last lease, because nobody tells when that memory goes.
///
/// `acquire` and leases belong to the thread that uses the endpoint. Memory may be released by any
/// thread: what is kept for it is found by nobody from then on, and is closed later.
class RegistrationCache final : public ReleaseListener {
 private:
  struct Entry;

 public:
  /// The right to use one registration until it is destroyed.
  class Lease {
   public:
    Lease() noexcept = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { reset(); }

    bool valid() const noexcept { return entry_ != nullptr; }
    void* handle() const noexcept;       ///< for local use; null for no lease
    std::uint64_t key() const noexcept;  ///< for peers
    /// What peers write to for `data`, which lies in the leased memory.
    std::uint64_t address_of(const std::byte* data) const noexcept;
    void reset() noexcept;

   private:
    friend class RegistrationCache;
    Lease(RegistrationCache& cache, Entry& entry) noexcept : cache_(&cache), entry_(&entry) {}
    RegistrationCache* cache_ = nullptr;
    Entry* entry_ = nullptr;
  };

  static constexpr std::size_t kMostKept = 128;

  /// Keeps what lies in `kept`, which may be empty, and no more than `most` idle registrations.
  RegistrationCache(Endpoint& endpoint, std::span<const std::byte> kept,
                    std::size_t most = kMostKept);
  ~RegistrationCache() override;
  RegistrationCache(const RegistrationCache&) = delete;
  RegistrationCache& operator=(const RegistrationCache&) = delete;

  Result<Lease> acquire(std::span<const std::byte> memory, MemoryUse use);
  void on_release(std::span<const std::byte> memory) noexcept override;

  /// Registrations that exist, leased or kept.
  std::size_t size() const;

 private:
  struct Entry {
    std::span<const std::byte> memory;
    MemoryUse use;
    Fid<fid_mr> region;
    std::size_t leases = 0;
    bool keep = false;  ///< false: nobody finds it, and it is closed with its last lease
  };
  using Entries = std::list<Entry>;  ///< most recently used first; leases point into it

  Entries::iterator find(std::span<const std::byte> memory, MemoryUse use);
  void close_unused();
  void give_back(Entry& entry) noexcept;

  Endpoint& endpoint_;
  const std::span<const std::byte> kept_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  Entries entries_;
};

}  // namespace smddp
