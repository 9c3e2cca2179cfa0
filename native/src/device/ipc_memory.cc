#include "device/ipc_memory.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace smddp {

Result<std::unique_ptr<IpcMemory>> IpcMemory::create(std::shared_ptr<const cuda::Gpu> gpu,
                                                     HostPlace place) {
  const Result<IpcSlot*> slot = IpcPool::take(gpu);
  if (!slot.ok()) return slot.status();
  return std::unique_ptr<IpcMemory>{new IpcMemory{std::move(gpu), place, slot.value()}};
}

std::vector<Rank> IpcMemory::others() const {
  std::vector<Rank> ranks;
  for (Rank rank = 0; rank < place_.ranks; ++rank) {
    if (rank != place_.rank) ranks.push_back(rank);
  }
  return ranks;
}

Status IpcMemory::reach(const Communicator& members, const std::vector<Rank>& ranks,
                        std::span<const std::byte> cards) {
  slabs_.assign(static_cast<std::size_t>(place_.ranks), slot_->slab());
  peers_.assign(static_cast<std::size_t>(place_.ranks), nullptr);
  turns_.assign(static_cast<std::size_t>(place_.ranks), 0);
  for (const Rank peer : others()) {
    const auto at = static_cast<std::size_t>(peer);
    const auto card = cards.subspan(static_cast<std::size_t>(ranks[at]) * IpcSlot::kCardBytes,
                                    IpcSlot::kCardBytes);
    const auto reached = IpcPool::reach(gpu_, members.memory_of(ranks[at]), card);
    if (!reached.ok()) return reached.status();
    peers_[at] = reached.value();
    turns_[at] = IpcPool::turn_of(card);
    slabs_[at] = reached.value()->slab;
  }
  return {};
}

cuda::Address IpcMemory::told(Rank peer) const {
  return peers_[static_cast<std::size_t>(peer)]->pinned.address() +
         static_cast<std::size_t>(place_.rank) * sizeof(IpcLine);
}

bool IpcMemory::have_all_come_to(std::uint32_t value) const noexcept {
  const std::vector<Rank> ranks = others();
  return std::all_of(ranks.begin(), ranks.end(), [&](Rank peer) {
    const std::uint32_t now =
        std::atomic_ref{slot_->line(peer).word}.load(std::memory_order_acquire);
    return static_cast<std::int32_t>(now - value) >= 0;  // as streams compare
  });
}

void IpcMemory::release(std::uint32_t value) noexcept {
  for (const Rank peer : others())
    std::atomic_ref{slot_->line(peer).word}.store(value, std::memory_order_release);
}

void IpcMemory::close() {
  for (const Rank peer : others()) {
    const auto at = static_cast<std::size_t>(peer);
    auto* const lines = reinterpret_cast<IpcLine*>(peers_[at]->words);
    std::atomic_ref{lines[place_.rank].closed}.store(turns_[at], std::memory_order_release);
  }
  IpcPool::give_back(slot_, others());
}

void IpcMemory::give_back_unused() { IpcPool::give_back(slot_, {}); }

}  // namespace smddp
