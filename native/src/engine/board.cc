#include "engine/board.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace smddp {
namespace {

// A rank that waits says so twice a second; it may be held up by a busy machine.
constexpr std::chrono::milliseconds kWaitingIsNews{1500};

/// How many bytes of a text in UTF-8 fit into `limit` without a character being cut.
std::size_t whole_characters(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text.size();
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0U) == 0x80U) --limit;
  return limit;
}

}  // namespace

std::size_t Board::bytes_needed(int world, int local_size) {
  return sizeof(FaultAuthor) +
         static_cast<std::size_t>(world) * (sizeof(RankEntry) + sizeof(PartingWords)) +
         static_cast<std::size_t>(local_size) * (sizeof(SleepFlag) + sizeof(FaultText));
}

Board::Board(std::span<std::byte> memory, int world, int local_size, int self)
    : self_(self),
      fault_(reinterpret_cast<FaultAuthor*>(memory.data())),
      ranks_(reinterpret_cast<RankEntry*>(fault_ + 1)),
      words_(reinterpret_cast<PartingWords*>(ranks_ + world)),
      sleepers_(reinterpret_cast<SleepFlag*>(words_ + world)),
      texts_(reinterpret_cast<FaultText*>(sleepers_ + local_size)) {}

// The sequence number, which is the first word, changes before the others do: who has read one of
// these finds it changed.
void Board::set_started(Rank rank, const Signature& signature) noexcept {
  RankEntry& mine = entry(rank);
  if (mine.started.load(std::memory_order_relaxed) > signature.sequence) return;
  const auto words = std::bit_cast<std::array<std::uint64_t, 4>>(signature);
  for (std::size_t i = 0; i < words.size(); ++i)
    mine.signature[i].store(words[i], std::memory_order_release);
  mine.started.store(signature.sequence + 1, std::memory_order_release);
}

std::uint64_t Board::started(Rank rank) const noexcept {
  return entry(rank).started.load(std::memory_order_acquire);
}

std::optional<Signature> Board::last_signature(Rank rank) const noexcept {
  if (started(rank) == 0) return std::nullopt;
  std::array<std::uint64_t, 4> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = entry(rank).signature[i].load(std::memory_order_acquire);
  }
  return std::bit_cast<Signature>(words);
}

std::optional<Signature> Board::started_as(Rank rank, std::uint64_t sequence) const noexcept {
  if (started(rank) != sequence + 1) return std::nullopt;
  const std::optional<Signature> read = last_signature(rank);
  const std::uint64_t now = entry(rank).signature[0].load(std::memory_order_relaxed);
  return now == sequence ? read : std::nullopt;
}

void Board::set_waiting(Rank rank, std::uint64_t sequence, Rank other,
                        Deadline::Clock::time_point now) noexcept {
  RankEntry& mine = entry(rank);
  mine.waits_for.store(other, std::memory_order_relaxed);
  mine.waited_in.store(sequence + 1, std::memory_order_relaxed);
  mine.waited_at.store(now.time_since_epoch().count(), std::memory_order_release);
}

void Board::set_not_waiting(Rank rank) noexcept {
  entry(rank).waited_at.store(0, std::memory_order_release);
}

std::optional<Rank> Board::waits_for(Rank rank, Deadline::Clock::time_point now) const noexcept {
  const RankEntry& theirs = entry(rank);
  const std::int64_t at = theirs.waited_at.load(std::memory_order_acquire);
  const Deadline::Clock::time_point said{Deadline::Clock::duration{at}};
  if (at == 0 || now - said > kWaitingIsNews) return std::nullopt;
  if (theirs.waited_in.load(std::memory_order_relaxed) != started(rank)) return std::nullopt;
  return theirs.waits_for.load(std::memory_order_relaxed);
}

void Board::set_left(Rank rank, std::uint64_t operations, std::string_view why) noexcept {
  std::array<std::uint64_t, kMaxPartingWords / sizeof(std::uint64_t)> words{};
  why.copy(reinterpret_cast<char*>(words.data()), whole_characters(why, kMaxPartingWords));
  for (std::size_t i = 0; i < words.size(); ++i) {
    words_[rank].text[i].store(words[i], std::memory_order_relaxed);
  }
  // As for a stage: who falls asleep sees it in its last look, or this rank sees the sleep flag.
  entry(rank).left.store(operations + 1, std::memory_order_seq_cst);
}

std::optional<std::uint64_t> Board::left_after(Rank rank) const noexcept {
  const std::uint64_t left = entry(rank).left.load(std::memory_order_acquire);
  return left == 0 ? std::nullopt : std::optional<std::uint64_t>{left - 1};
}

std::string Board::parting_words(Rank rank) const {
  if (!left_after(rank)) return {};
  std::array<std::uint64_t, kMaxPartingWords / sizeof(std::uint64_t)> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = words_[rank].text[i].load(std::memory_order_relaxed);
  }
  const auto* text = reinterpret_cast<const char*>(words.data());
  return {text, ::strnlen(text, kMaxPartingWords)};
}

void Board::set_finished(Rank rank) noexcept {
  entry(rank).finished.store(true, std::memory_order_release);
}

bool Board::has_finished(Rank rank) const noexcept {
  return entry(rank).finished.load(std::memory_order_acquire);
}

bool Board::record_fault(const Fault& fault) noexcept {
  if (has_fault()) return false;
  const std::string& text = fault.status.message();
  FaultText& mine = texts_[self_];
  mine.sequence = fault.sequence;
  mine.code = static_cast<std::uint32_t>(fault.status.code());
  mine.length = static_cast<std::uint32_t>(std::min(text.size(), mine.text.size()));
  std::memcpy(mine.text.data(), text.data(), mine.length);
  std::uint32_t nobody = 0;
  return fault_->author.compare_exchange_strong(nobody, static_cast<std::uint32_t>(self_) + 1,
                                                std::memory_order_seq_cst);
}

bool Board::has_fault() const noexcept {
  return fault_->author.load(std::memory_order_acquire) != 0;
}

Fault Board::fault() const {
  const std::uint32_t author = fault_->author.load(std::memory_order_acquire);
  if (author == 0) return Fault{};
  const FaultText& text = texts_[author - 1];
  return Fault{
      Status{static_cast<StatusCode>(text.code), std::string{text.text.data(), text.length}},
      text.sequence};
}

void Board::set_asleep(int local_rank, bool asleep) noexcept {
  sleepers_[local_rank].asleep.store(asleep ? 1 : 0, std::memory_order_seq_cst);
}

bool Board::is_asleep(int local_rank) const noexcept {
  return sleepers_[local_rank].asleep.load(std::memory_order_seq_cst) != 0;
}

}  // namespace smddp
