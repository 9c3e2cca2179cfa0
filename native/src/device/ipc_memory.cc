#include "device/ipc_memory.h"

#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include "base/auth.h"
#include "memory/registered_heap.h"

namespace smddp {
namespace {

/// What one rank tells another; on a line of its own. The first two as Word counts them.
struct alignas(64) Line {
  std::uint32_t words[2];
  std::uint32_t closed;  ///< not 0: it does not use the other's memory any more
};
constexpr std::size_t kWordsBytes = 4096;
static_assert(cuda::kMostRanks * sizeof(Line) <= kWordsBytes);

struct Card {
  cuda::IpcHandle slab;
  std::byte* slab_address;  ///< in its process
  std::uint64_t process;
  std::uint64_t words_offset;  ///< in its process's registered memory
  std::uint64_t reserved;
};
static_assert(sizeof(Card) == IpcMemory::kCardBytes);

Line* line(std::byte* words, Rank writer) { return reinterpret_cast<Line*>(words) + writer; }

cuda::Address address(cuda::Address words, Rank writer, IpcMemory::Word word) {
  return words + static_cast<std::size_t>(writer) * sizeof(Line) +
         static_cast<std::size_t>(word) * sizeof(std::uint32_t);
}

/// What others may still use. Never destroyed: the process's end is the end of all of it.
struct Retired {
  std::mutex mutex;
  std::vector<std::unique_ptr<IpcMemory>> memory;
};
Retired& retired() {
  static Retired& object = *new Retired;
  return object;
}

}  // namespace

std::uint64_t this_process() {
  static const std::uint64_t number = [] {
    std::uint64_t random = 0;
    std::memcpy(&random, random_bytes(sizeof(random)).data(), sizeof(random));
    return random;
  }();
  return number;
}

Result<std::unique_ptr<IpcMemory>> IpcMemory::create(std::shared_ptr<const cuda::Gpu> gpu,
                                                     HostPlace place) {
  Result<RegisteredBlock> words = RegisteredBlock::allocate(kWordsBytes);
  if (!words.ok()) return words.status();
  std::unique_ptr<IpcMemory> memory{new IpcMemory{std::move(gpu), place, std::move(words).value()}};
  Result<cuda::PinnedRange> pinned =
      cuda::PinnedRange::pin(memory->gpu_, memory->words_.data(), kWordsBytes);
  if (!pinned.ok()) return pinned.status();
  memory->pinned_ = std::move(pinned).value();
  Result<std::byte*> slab = memory->gpu_->allocate(IpcSlab::kBytes);
  if (!slab.ok()) return slab.status();
  memory->slab_ = slab.value();
  memory->slabs_.resize(static_cast<std::size_t>(place.ranks));
  memory->slabs_[static_cast<std::size_t>(place.rank)].base = slab.value();
  memory->peers_.resize(static_cast<std::size_t>(place.ranks));
  return memory;
}

IpcMemory::~IpcMemory() {
  if (slab_ != nullptr) gpu_->free(slab_);
}

Result<std::vector<std::byte>> IpcMemory::card() const {
  const Result<cuda::IpcHandle> handle = gpu_->share(slab_);
  if (!handle.ok()) return handle.status();
  const std::byte* const heap = RegisteredHeap::known()->bytes().data();
  const Card card{.slab = handle.value(),
                  .slab_address = slab_,
                  .process = this_process(),
                  .words_offset = static_cast<std::uint64_t>(words_.data() - heap)};
  std::vector<std::byte> bytes(sizeof(card));
  std::memcpy(bytes.data(), &card, sizeof(card));
  return bytes;
}

Status IpcMemory::reach(const Communicator& members, const std::vector<Rank>& ranks,
                        std::span<const std::byte> cards) {
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    if (is_self(peer)) continue;
    const Rank rank = ranks[static_cast<std::size_t>(peer)];
    const auto card = cards.subspan(static_cast<std::size_t>(rank) * kCardBytes, kCardBytes);
    SMDDP_RETURN_IF_ERROR(reach_peer(peer, members.memory_of(rank), card));
  }
  return {};
}

Status IpcMemory::reach_peer(Rank peer, const ReachedMemory& memory,
                             std::span<const std::byte> bytes) {
  Card card;
  std::memcpy(&card, bytes.data(), sizeof(card));
  if (card.words_offset + kWordsBytes > memory.bytes.size())
    return {StatusCode::kSystem, "its registered memory is out of reach"};
  Peer& known = peers_[static_cast<std::size_t>(peer)];
  known.owner = memory.owner;
  known.words = memory.bytes.data() + card.words_offset;
  Result<cuda::PinnedRange> pinned = cuda::PinnedRange::pin(gpu_, known.words, kWordsBytes);
  if (!pinned.ok()) return pinned.status();
  known.pinned = std::move(pinned).value();
  IpcSlab& slab = slabs_[static_cast<std::size_t>(peer)];
  if (card.process == this_process()) {
    slab.base = card.slab_address;
    return {};
  }
  const Result<std::byte*> opened = gpu_->open_shared(card.slab);
  if (!opened.ok()) return opened.status();
  slab.base = known.opened = opened.value();
  return {};
}

cuda::Address IpcMemory::told(Rank peer, Word word) const {
  const cuda::PinnedRange& theirs = peers_[static_cast<std::size_t>(peer)].pinned;
  return address(theirs.address(), place_.rank, word);
}

cuda::Address IpcMemory::heard(Rank peer, Word word) const {
  return address(pinned_.address(), peer, word);
}

void IpcMemory::release(std::uint32_t value) noexcept {
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    for (std::uint32_t& word : line(words_.data(), peer)->words)
      std::atomic_ref{word}.store(value, std::memory_order_release);
  }
}

void IpcMemory::let_go_of_others() noexcept {
  for (Peer& peer : peers_) {
    if (peer.opened != nullptr) gpu_->close_shared(peer.opened);
    peer.pinned = {};
    if (peer.words != nullptr)
      std::atomic_ref{line(peer.words, place_.rank)->closed}.store(1, std::memory_order_release);
    peer = {};
  }
}

bool IpcMemory::is_done_with() const noexcept {
  for (Rank peer = 0; peer < place_.ranks; ++peer) {
    std::uint32_t& closed = line(words_.data(), peer)->closed;
    if (!is_self(peer) && std::atomic_ref{closed}.load(std::memory_order_acquire) == 0)
      return false;
  }
  return true;
}

void IpcMemory::retire(std::unique_ptr<IpcMemory> memory, bool is_unused) {
  if (is_unused) memory->let_go_of_others();
  const std::lock_guard lock{retired().mutex};
  // Where it is in use, the others' memory has to stay open, and so all of it.
  if (is_unused) {
    retired().memory.push_back(std::move(memory));
  } else {
    static_cast<void>(memory.release());
  }
  std::erase_if(retired().memory, [](const auto& one) { return one->is_done_with(); });
}

}  // namespace smddp
