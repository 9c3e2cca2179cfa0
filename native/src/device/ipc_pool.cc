#include "device/ipc_pool.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/auth.h"
#include "memory/registered_heap.h"

namespace smddp {
namespace {

struct Card {
  cuda::IpcHandle slab;
  std::byte* slab_address;     ///< in its process
  std::uint64_t process;       ///< not 0
  std::uint64_t words_offset;  ///< in its process's registered memory
  std::uint64_t staging;
  std::uint32_t turn;
  std::uint32_t reserved;
};
static_assert(sizeof(Card) == IpcSlot::kCardBytes);

/// Slots that nobody takes before all have closed them.
struct Returned {
  IpcSlot* slot;
  std::vector<Rank> writers;

  bool is_free() const {
    return std::all_of(writers.begin(), writers.end(), [&](Rank writer) {
      return load(slot->words().closed[writer]) == slot->turn();
    });
  }
};

using PeerKey = std::tuple<int, std::uint64_t, std::byte*>;  // GPU here; process and slab there

/// Never destroyed.
struct State {
  std::mutex mutex;  ///< guards the first two
  std::vector<std::unique_ptr<IpcSlot>> slots;
  std::vector<Returned> returned;
  std::mutex peers_mutex;
  std::map<PeerKey, std::unique_ptr<IpcPeer>> peers;
};
State& state() {
  static State& object = *new State;
  return object;
}

Result<std::unique_ptr<IpcPeer>> open_peer(const std::shared_ptr<const cuda::Gpu>& gpu,
                                           const ReachedMemory& memory, const Card& card) {
  auto peer = std::make_unique<IpcPeer>();
  const bool is_here = card.process == this_process();
  const auto heap = is_here ? RegisteredHeap::known()->bytes() : memory.bytes;
  if (card.words_offset + IpcWords::bytes() > heap.size())
    return Status{StatusCode::kSystem, "another rank's registered memory is out of reach"};
  peer->owner = memory.owner;
  std::byte* const words = heap.data() + card.words_offset;
  peer->words = reinterpret_cast<IpcWords*>(words);
  peer->process = card.process;
  peer->slab.staging = card.staging;
  Result<cuda::PinnedRange> pinned = cuda::PinnedRange::pin(gpu, words, IpcWords::bytes());
  if (!pinned.ok()) return pinned.status();
  peer->pinned = std::move(pinned).value();
  if (is_here) {
    peer->slab.base = card.slab_address;
    return peer;
  }
  const Result<std::byte*> opened = gpu->open_shared(card.slab);
  if (!opened.ok()) return opened.status();
  peer->slab.base = opened.value();
  return peer;
}

}  // namespace

std::uint64_t this_process() {
  static const std::uint64_t number = [] {
    std::uint64_t random = 0;
    std::memcpy(&random, random_bytes(sizeof(random)).data(), sizeof(random));
    return random | 1;
  }();
  return number;
}

Result<std::unique_ptr<IpcSlot>> IpcSlot::create(std::shared_ptr<const cuda::Gpu> gpu,
                                                 std::size_t staging) {
  Result<RegisteredBlock> words = RegisteredBlock::allocate(IpcWords::bytes() + kSpareBytes);
  if (!words.ok()) return words.status();
  std::unique_ptr<IpcSlot> slot{new IpcSlot{std::move(gpu), std::move(words).value(), staging}};
  const Status filled = slot->fill();
  if (filled.ok()) return slot;
  if (slot->slab_.base != nullptr) slot->gpu_->free(slot->slab_.base);
  return filled;
}

Status IpcSlot::fill() {
  Result<cuda::PinnedRange> pinned = cuda::PinnedRange::pin(gpu_, words_.data(), IpcWords::bytes());
  if (!pinned.ok()) return pinned.status();
  pinned_ = std::move(pinned).value();
  Result<cuda::PinnedRange> spare = cuda::PinnedRange::pin(gpu_, this->spare(), kSpareBytes);
  if (!spare.ok()) return spare.status();
  pinned_spare_ = std::move(spare).value();
  const Result<std::byte*> slab = gpu_->allocate(IpcSlab::bytes(slab_.staging));
  if (!slab.ok()) return slab.status();
  slab_.base = slab.value();
  const Result<cuda::IpcHandle> handle = gpu_->share(slab_.base);
  if (!handle.ok()) return handle.status();
  handle_ = handle.value();
  return {};
}

void IpcSlot::begin_turn() noexcept {
  ++turn_;
  std::memset(words_.data(), 0, IpcWords::bytes());
}

std::vector<std::byte> IpcSlot::card() const {
  const std::byte* const heap = RegisteredHeap::known()->bytes().data();
  const Card card{.slab = handle_,
                  .slab_address = slab_.base,
                  .process = this_process(),
                  .words_offset = static_cast<std::uint64_t>(words_.data() - heap),
                  .staging = slab_.staging,
                  .turn = turn_};
  std::vector<std::byte> bytes(sizeof(card));
  std::memcpy(bytes.data(), &card, sizeof(card));
  return bytes;
}

Result<IpcSlot*> IpcPool::take(const std::shared_ptr<const cuda::Gpu>& gpu, std::size_t staging) {
  {
    const std::lock_guard lock{state().mutex};
    auto& returned = state().returned;
    const auto free = std::find_if(returned.begin(), returned.end(), [&](const Returned& one) {
      return one.slot->gpu() == gpu->ordinal() && one.slot->slab().staging == staging &&
             one.is_free();
    });
    if (free != returned.end()) {
      IpcSlot* const slot = free->slot;
      returned.erase(free);
      slot->begin_turn();
      return slot;
    }
  }
  Result<std::unique_ptr<IpcSlot>> made = IpcSlot::create(gpu, staging);
  if (!made.ok()) return made.status();
  const std::lock_guard lock{state().mutex};
  state().slots.push_back(std::move(made).value());
  state().slots.back()->begin_turn();
  return state().slots.back().get();
}

void IpcPool::give_back(IpcSlot* slot, std::vector<Rank> writers) {
  const std::lock_guard lock{state().mutex};
  state().returned.push_back({slot, std::move(writers)});
}

std::uint32_t IpcPool::turn_of(std::span<const std::byte> bytes) noexcept {
  Card card;
  std::memcpy(&card, bytes.data(), sizeof(card));
  return card.turn;
}

Result<const IpcPeer*> IpcPool::reach(const std::shared_ptr<const cuda::Gpu>& gpu,
                                      const ReachedMemory& memory,
                                      std::span<const std::byte> bytes) {
  Card card;
  std::memcpy(&card, bytes.data(), sizeof(card));
  if (card.process == 0) return Status{StatusCode::kSystem, "another rank has none"};
  const std::lock_guard lock{state().peers_mutex};
  std::unique_ptr<IpcPeer>& known =
      state().peers[PeerKey{gpu->ordinal(), card.process, card.slab_address}];
  if (known == nullptr) {
    Result<std::unique_ptr<IpcPeer>> opened = open_peer(gpu, memory, card);
    if (!opened.ok()) return opened.status();
    known = std::move(opened).value();
  }
  return known.get();
}

}  // namespace smddp
