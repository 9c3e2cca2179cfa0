#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "provider/cuda/driver.h"
#include "provider/cuda/kernel_arguments.h"

namespace smddp {

/// An allocation of a rank's GPU, for the other ranks of its host to open.
struct IpcOffer {
  std::uint64_t id = 0;     ///< no other one of its process has or had it; 0: there is none
  std::uint64_t start = 0;  ///< in its process
  std::uint64_t bytes = 0;
  std::uint64_t handle[8] = {};  ///< a cuda::IpcHandle
};
static_assert(sizeof(IpcOffer::handle) == sizeof(cuda::IpcHandle));

/// Where another rank's GPU has what was offered with that id.
struct IpcAnswer {
  std::uint64_t id;
  std::uint64_t start;
};

/// What the other ranks of a host tell one rank, and it tells them, in memory of the host: for one
/// group at a time, and zeros when that begins.
struct IpcWords {
  static constexpr int kMostOffers = 128;
  static constexpr std::size_t kPage = 4096;

  // The others write these, each its own:
  cuda::RankLine lines[cuda::kMostRanks];
  std::uint32_t closed[cuda::kMostRanks];  ///< of which turn it does not use this one's any more
  IpcAnswer answers[cuda::kMostRanks][kMostOffers];
  // This rank writes these, the first one its GPU:
  std::uint32_t left_out;  ///< the first round in which ranks had called different things, or 0
  std::uint32_t changes;   ///< of the offers
  IpcOffer offers[kMostOffers];

  static constexpr std::size_t bytes() { return (sizeof(IpcWords) + kPage - 1) / kPage * kPage; }
};

// Words that other processes write and read too.
template <typename Word>
Word load(const Word& word) {
  return std::atomic_ref{const_cast<Word&>(word)}.load(std::memory_order_acquire);
}
template <typename Word>
void store(Word& word, Word value) {
  std::atomic_ref{word}.store(value, std::memory_order_release);
}
/// The id comes last, so who sees the same id before and after has seen the whole offer.
inline IpcOffer read(const IpcOffer& offer) {
  IpcOffer now{.start = load(offer.start), .bytes = load(offer.bytes)};
  for (std::size_t k = 0; k < std::size(now.handle); ++k) now.handle[k] = load(offer.handle[k]);
  now.id = load(offer.id);
  return now;
}
inline void write(IpcOffer& offer, const IpcOffer& now) {
  store(offer.start, now.start);
  store(offer.bytes, now.bytes);
  for (std::size_t k = 0; k < std::size(now.handle); ++k) store(offer.handle[k], now.handle[k]);
  store(offer.id, now.id);
}

}  // namespace smddp
