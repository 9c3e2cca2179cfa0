#include "bootstrap/exchange.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <utility>

#include "base/auth.h"
#include "base/log.h"
#include "base/rank_label.h"
#include "base/wire.h"

namespace smddp {
namespace {

using std::chrono::seconds;
using Clock = Deadline::Clock;

// Raised when what the ranks publish changes.
constexpr std::uint32_t kFormat = 5;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 16;
constexpr const char* kRosterKey = "roster";

constexpr seconds kFirstReport{10};
// Rank 0's deadline is about this rank's: what it has to say comes about now.
constexpr seconds kVerdictTime{2};
// For finding out who is missing, after the deadline, at a store that may be slow by now.
constexpr seconds kInquiryTime{5};

std::string key_of(Rank rank) { return "rank-" + std::to_string(rank); }

std::string name_ranks(const std::vector<Rank>& ranks, const std::vector<Rank>& labels) {
  constexpr std::size_t kNamed = 16;
  std::string text;
  for (std::size_t i = 0; i < std::min(ranks.size(), kNamed); ++i) {
    text += (i == 0 ? "rank " : ", rank ") + std::to_string(label_of(labels, ranks[i]));
  }
  if (ranks.size() > kNamed) text += " and " + std::to_string(ranks.size() - kNamed) + " more";
  return text;
}

/// The time that has gone by, as far as the deadline: what is found out after it does not count.
class Waiting {
 public:
  explicit Waiting(Deadline deadline) : deadline_(deadline) {}

  std::string text() const {
    const auto end = std::min(Clock::now(), std::max(start_, deadline_.at()));
    const double elapsed = std::chrono::duration<double>(end - start_).count();
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), elapsed < 9.95 ? "%.1f s" : "%.0f s", elapsed);
    return text.data();
  }

 private:
  Clock::time_point start_ = Clock::now();
  Deadline deadline_;
};

/// What one rank publishes begins with what shows that ranks do not fit together.
Result<std::string> encode(const Introduction& introduction) {
  const auto info = encode(introduction.mine);
  if (!info.ok()) return info.status();
  WireWriter writer;
  writer.u32(kFormat).u32(static_cast<std::uint32_t>(introduction.world));
  writer.u8(introduction.job_secret.empty() ? 0 : 1);
  writer.string(introduction.settings).string(info.value());
  return writer.take();
}

Status misfit(Rank rank, const Introduction& ours, const std::string& what) {
  return {StatusCode::kConfig, name_ranks({rank}, ours.labels) + " " + what};
}

/// Those of the `settings` that are not in `others`.
std::string without_common(const std::string& settings, const std::string& others) {
  std::istringstream lines{settings};
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (("\n" + others + "\n").find("\n" + line + "\n") != std::string::npos) continue;
    text += (text.empty() ? "" : " ") + line;
  }
  return text;
}

Result<RankInfo> read_record(const std::string& bytes, Rank rank, const Introduction& ours) {
  WireReader reader{bytes};
  const bool same_format = reader.u32() == kFormat;
  const int world = static_cast<int>(reader.u32());
  const bool has_secret = reader.u8() != 0;
  const std::string settings = reader.string(kMaxTextBytes);
  const auto info = decode_rank_info(reader.string(kMaxRecordBytes));
  if (!same_format || !reader.complete() || !info.ok() || info.value().rank != rank) {
    return misfit(rank, ours,
                  "cannot be understood by rank 0; do all ranks run the same version of smddp?");
  }
  if (world != ours.world) {
    return misfit(rank, ours,
                  "was started for a world of " + std::to_string(world) + " ranks and rank 0 for " +
                      std::to_string(ours.world));
  }
  if (has_secret == ours.job_secret.empty()) {
    return misfit(rank, ours,
                  std::string(has_secret ? "has" : "lacks") + " SMDDP_JOB_SECRET and rank 0 " +
                      (has_secret ? "lacks" : "has") + " it; set it for all ranks or for none");
  }
  if (settings != ours.settings) {
    return Status{StatusCode::kConfig, name_of(info.value(), ours.labels) + " has " +
                                           without_common(settings, ours.settings) + " and " +
                                           name_of(ours.mine, ours.labels) + " has " +
                                           without_common(ours.settings, settings) +
                                           "; set these to the same values for all ranks"};
  }
  return info.value();
}

// The key "roster" holds rank 0's verdict: a success byte, then the roster; or
// the code and the message.

Result<std::string> encode_roster(const std::vector<RankInfo>& ranks, const std::string& secret) {
  WireWriter writer;
  writer.u8(static_cast<std::uint8_t>(StatusCode::kOk)).string(secret);
  writer.u32(static_cast<std::uint32_t>(ranks.size()));
  for (const RankInfo& info : ranks) {
    const auto bytes = encode(info);
    if (!bytes.ok()) return bytes.status();
    writer.string(bytes.value());
  }
  return writer.take();
}

std::string encode_failure(const Status& failure) {
  return WireWriter()
      .u8(static_cast<std::uint8_t>(failure.code()))
      .string(failure.message())
      .take();
}

Result<Roster> read_verdict(const std::string& bytes, const Introduction& ours) {
  const Status unreadable{
      StatusCode::kConfig,
      "this rank cannot understand rank 0; do all ranks run the same version of smddp?"};
  WireReader reader{bytes};
  const auto code = static_cast<StatusCode>(reader.u8());
  if (code != StatusCode::kOk) {
    std::string message = reader.string(kMaxTextBytes);
    const bool sound =
        reader.complete() && code != StatusCode::kAgain && code <= StatusCode::kSystem;
    return sound ? Status{code, std::move(message)} : unreadable;
  }
  Roster roster;
  roster.secret = reader.string(kSecretBytes);
  const std::uint32_t count = reader.u32();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    auto info = decode_rank_info(reader.string(kMaxRecordBytes));
    if (!info.ok() || info.value().rank != static_cast<Rank>(i)) return unreadable;
    roster.ranks.push_back(std::move(info).value());
  }
  if (!reader.complete() || roster.ranks.size() != static_cast<std::size_t>(ours.world))
    return unreadable;
  if (!ours.job_secret.empty()) roster.secret = ours.job_secret;
  if (roster.secret.empty()) return unreadable;

  const RankInfo& listed = roster.ranks[static_cast<std::size_t>(ours.mine.rank)];
  if (!(listed == ours.mine)) {
    return misfit(ours.mine.rank, ours,
                  "was started twice: as process " + std::to_string(ours.mine.pid) + " on host " +
                      ours.mine.host_name + " and as process " + std::to_string(listed.pid) +
                      " on host " + listed.host_name);
  }
  return roster;
}

/// Reads the other ranks' records as they come.
class Collection {
 public:
  Collection(Store& store, const Introduction& ours) : store_(store), ours_(ours) {
    for (Rank rank = 0; rank < ours.world; ++rank) {
      if (rank != ours.mine.rank) missing_.push_back(rank);
    }
  }

  /// Ok when the time is over, whoever is missing then; otherwise the store's failure.
  Status wait_until(Deadline deadline) {
    Deadline end = Deadline::never();
    std::vector<Rank> still_missing;
    for (const Rank rank : missing_) {
      if (deadline.passed() && !end.is_bounded()) end = Deadline::after(kInquiryTime);
      if (end.passed()) {
        still_missing.push_back(rank);
        continue;
      }
      auto record = store_.get(key_of(rank), deadline);
      if (record.ok()) {
        records_.emplace_back(rank, std::move(record).value());
      } else if (record.status().code() == StatusCode::kTimeout) {
        still_missing.push_back(rank);
      } else {
        return record.status();
      }
    }
    missing_ = std::move(still_missing);
    return {};
  }

  const std::vector<Rank>& missing() const noexcept { return missing_; }

  /// All ranks in order, this one included.
  Result<std::vector<RankInfo>> read() const {
    std::vector<RankInfo> ranks(static_cast<std::size_t>(ours_.world));
    ranks[static_cast<std::size_t>(ours_.mine.rank)] = ours_.mine;
    for (const auto& [rank, bytes] : records_) {
      auto info = read_record(bytes, rank, ours_);
      if (!info.ok()) return info.status();
      ranks[static_cast<std::size_t>(rank)] = std::move(info).value();
    }
    return ranks;
  }

 private:
  Store& store_;
  const Introduction& ours_;
  std::vector<Rank> missing_;
  std::vector<std::pair<Rank, std::string>> records_;
};

Status absent(const std::vector<Rank>& missing, const Introduction& ours, const Waiting& waiting) {
  return {StatusCode::kTimeout,
          name_ranks(missing, ours.labels) + " did not join within " + waiting.text()};
}

void report_waiting(const std::vector<Rank>& missing, const Introduction& ours,
                    const Waiting& waiting) {
  log_line(LogLevel::kWarn, "still waiting for " + name_ranks(missing, ours.labels) +
                                " to join after " + waiting.text());
}

Result<std::vector<RankInfo>> collect_all(Store& store, const Introduction& ours,
                                          Deadline deadline) {
  const Waiting waiting(deadline);
  Collection collection(store, ours);
  SMDDP_RETURN_IF_ERROR(collection.wait_until(std::min(deadline, Deadline::after(kFirstReport))));
  if (!collection.missing().empty() && !deadline.passed()) {
    report_waiting(collection.missing(), ours, waiting);
    SMDDP_RETURN_IF_ERROR(collection.wait_until(deadline));
  }
  if (!collection.missing().empty()) return absent(collection.missing(), ours, waiting);
  return collection.read();
}

/// Rank 0: decides, and publishes the verdict even when it is a failure, so that
/// all ranks report the same.
Result<Roster> lead(Store& store, const Introduction& ours, Deadline deadline) {
  Roster roster;
  roster.secret = ours.job_secret.empty() ? random_bytes(kSecretBytes) : ours.job_secret;
  auto ranks = collect_all(store, ours, deadline);
  // A job secret is known everywhere already and has no business in a store.
  const std::string shared = ours.job_secret.empty() ? roster.secret : std::string();
  const auto verdict =
      ranks.ok() ? encode_roster(ranks.value(), shared) : Result<std::string>(ranks.status());
  const Deadline soon = std::max(deadline, Deadline::after(kVerdictTime));
  if (!verdict.ok()) {
    // The first failure is the one to report, whether or not the others can be told.
    static_cast<void>(store.set(kRosterKey, encode_failure(verdict.status()), soon));
    return verdict.status();
  }
  SMDDP_RETURN_IF_ERROR(store.set(kRosterKey, verdict.value(), soon));
  roster.ranks = std::move(ranks).value();
  return roster;
}

/// Another rank after its deadline: rank 0 has said nothing, so this rank finds out
/// by itself who is missing.
Status find_missing(Store& store, const Introduction& ours, const Waiting& waiting) {
  Collection collection(store, ours);
  SMDDP_RETURN_IF_ERROR(collection.wait_until(Deadline::after(seconds{0})));
  if (!collection.missing().empty()) return absent(collection.missing(), ours, waiting);
  return {StatusCode::kTimeout,
          "all ranks have joined, but rank 0 did not publish the list of ranks within " +
              waiting.text()};
}

Result<Roster> follow(Store& store, const Introduction& ours, Deadline deadline) {
  const Waiting waiting(deadline);
  auto verdict = store.get(kRosterKey, std::min(deadline, Deadline::after(kFirstReport)));
  if (verdict.status().code() == StatusCode::kTimeout && !deadline.passed()) {
    // Rank 0 reports whom it waits for; only its own absence has to be reported by the others.
    const auto leader = store.get(key_of(0), Deadline::after(seconds{0}));
    if (leader.status().code() == StatusCode::kTimeout) report_waiting({0}, ours, waiting);
    verdict = store.get(kRosterKey, deadline);
  }
  if (verdict.status().code() == StatusCode::kTimeout) {
    verdict = store.get(kRosterKey, Deadline::after(kVerdictTime));
  }
  if (verdict.ok()) return read_verdict(verdict.value(), ours);
  if (verdict.status().code() != StatusCode::kTimeout) return verdict.status();
  return find_missing(store, ours, waiting);
}

}  // namespace

Result<Roster> exchange(Store& store, const Introduction& introduction, Deadline deadline) {
  const RankInfo& mine = introduction.mine;
  if (introduction.world < 1 || mine.rank < 0 || mine.rank >= introduction.world) {
    return Status{StatusCode::kInvalidArgument, "rank " + std::to_string(mine.rank) +
                                                    " is not in a world of " +
                                                    std::to_string(introduction.world)};
  }
  const auto record = encode(introduction);
  if (!record.ok()) return record.status();
  SMDDP_RETURN_IF_ERROR(store.set(key_of(mine.rank), record.value(), deadline));
  return mine.rank == 0 ? lead(store, introduction, deadline)
                        : follow(store, introduction, deadline);
}

}  // namespace smddp
