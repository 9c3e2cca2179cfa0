#include "device/ipc_memory.h"

#include <algorithm>
#include <utility>

namespace smddp {

Result<std::unique_ptr<IpcMemory>> IpcMemory::create(std::shared_ptr<const cuda::Gpu> gpu,
                                                     HostPlace place, IpcTerms terms) {
  const Result<IpcSlot*> slot = IpcPool::take(gpu, terms.staging);
  if (!slot.ok()) return slot.status();
  return std::unique_ptr<IpcMemory>{new IpcMemory{std::move(gpu), place, terms, slot.value()}};
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

void IpcMemory::set_slab_at(Rank peer, cuda::Address start) {
  slab_view_.there[static_cast<std::size_t>(peer)] = start;
}

std::optional<IpcView> IpcMemory::view(const std::byte* memory, std::size_t bytes) {
  const std::byte* const slab = slot_->slab().base;
  if (memory >= slab && memory < slab + IpcSlab::bytes(terms_.staging)) return slab_view();
  if (!terms_.opens_tensors || memory == nullptr) return std::nullopt;
  return exports_.view(memory, bytes);
}

void IpcMemory::look() {
  exports_.look();
  imports_->look(peers_);
}

cuda::Address IpcMemory::told(Rank peer) const {
  return peers_[static_cast<std::size_t>(peer)]->pinned.address() +
         static_cast<std::size_t>(place_.rank) * sizeof(cuda::RankLine);
}

bool IpcMemory::are_all_through(std::uint32_t round) const noexcept {
  const std::vector<Rank> ranks = others();
  return std::all_of(ranks.begin(), ranks.end(), [&](Rank peer) {
    const std::uint32_t now = load(slot_->words().lines[peer].through);
    return static_cast<std::int32_t>(now - round) >= 0;  // as streams compare
  });
}

void IpcMemory::release_ready(std::uint32_t round) noexcept {
  for (const Rank peer : others()) store(slot_->words().lines[peer].ready, round);
}

void IpcMemory::release_through(std::uint32_t round) noexcept {
  for (const Rank peer : others()) store(slot_->words().lines[peer].through, round);
}

void IpcMemory::give_up() noexcept {
  for (const Rank peer : others()) {
    const auto at = static_cast<std::size_t>(peer);
    store(peers_[at]->words->lines[place_.rank].given_up, turns_[at]);
  }
}

bool IpcMemory::has_any_given_up() const noexcept {
  const auto has = [&](const IpcWords& words, std::uint32_t turn) {
    return std::any_of(words.lines, words.lines + place_.ranks,
                       [&](const cuda::RankLine& line) { return load(line.given_up) == turn; });
  };
  const std::vector<Rank> ranks = others();
  return has(slot_->words(), turn()) || std::any_of(ranks.begin(), ranks.end(), [&](Rank peer) {
           const auto at = static_cast<std::size_t>(peer);
           return has(*peers_[at]->words, turns_[at]);
         });
}

bool IpcMemory::has_left_out(std::uint32_t round) const noexcept {
  const std::uint32_t first = load(slot_->words().left_out);
  return first != 0 && static_cast<std::int32_t>(round - first) >= 0;
}

void IpcMemory::close() {
  imports_->close([this] {
    for (const Rank peer : others()) {
      const auto at = static_cast<std::size_t>(peer);
      store(peers_[at]->words->closed[place_.rank], turns_[at]);
    }
    IpcPool::give_back(slot_, others());
  });
}

void IpcMemory::give_back_unused() { IpcPool::give_back(slot_, {}); }

}  // namespace smddp
