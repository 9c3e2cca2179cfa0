#include "bootstrap/cause.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/rank_label.h"
#include "base/wire.h"

namespace smddp {
namespace {

// The deadlines of the members are about the same, but a busy machine wakes one late.
constexpr std::chrono::seconds kPatience{2};
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 16;

std::string key_of(Rank rank) { return "rank-" + std::to_string(rank); }

std::string encode(const Status& failure) {
  WireWriter writer;
  writer.u8(static_cast<std::uint8_t>(failure.code())).string(failure.message());
  for (const Rank rank : failure.missing()) writer.u32(static_cast<std::uint32_t>(rank));
  return writer.take();
}

Status decode(const std::string& bytes) {
  WireReader reader{bytes};
  const auto code = static_cast<StatusCode>(reader.u8());
  std::string message = reader.string(kMaxTextBytes);
  std::vector<Rank> missing;
  while (!reader.failed() && !reader.complete()) missing.push_back(static_cast<Rank>(reader.u32()));
  return {code, std::move(message), std::move(missing)};
}

std::string names_of(const std::vector<Rank>& ranks, const std::vector<Rank>& labels) {
  std::string text;
  for (const Rank rank : ranks)
    text += (text.empty() ? "rank " : ", rank ") + std::to_string(label_of(labels, rank));
  return text;
}

}  // namespace

Status find_cause(Store& store, Rank self, const std::vector<Rank>& labels, const Status& own) {
  const Deadline end = Deadline::after(kPatience);
  // Whether or not the others can be told, this rank has a failure to report.
  static_cast<void>(store.set(key_of(self), encode(own), end));
  std::vector<Rank> asked = own.missing();  // grows: who is missed by those who answer is asked too
  std::vector<Rank> silent;
  std::vector<Rank> waiting;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Rank rank = asked[i];
    const Result<std::string> answer = store.get(key_of(rank), end);
    if (!answer.ok()) {
      silent.push_back(rank);
      continue;
    }
    const Status failure = decode(answer.value());
    if (failure.missing().empty())
      return {failure.code(), names_of({rank}, labels) + " gave up: " + failure.message()};
    waiting.push_back(rank);
    for (const Rank next : failure.missing()) {
      const bool known = next == self || std::find(asked.begin(), asked.end(), next) != asked.end();
      if (!known) asked.push_back(next);
    }
  }
  if (silent.empty() || waiting.empty()) return own;
  std::sort(silent.begin(), silent.end());
  return {StatusCode::kTimeout,
          "gave up waiting for the connection to " + names_of(silent, labels) + " (" +
              names_of(waiting, labels) + " waited too)",
          silent};
}

}  // namespace smddp
