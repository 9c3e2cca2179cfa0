#include "smddp/probe.h"

#include <cstdint>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

struct alignas(64) Line {
  std::uint32_t words[16];
};

TEST_CASE("a pass in place leaves every number as it is") {
  std::vector<float> numbers(1003);
  std::iota(numbers.begin(), numbers.end(), 1.5F);
  const std::vector<float> before = numbers;
  pass_in_place(numbers.data(), numbers.size() * sizeof(float));
  CHECK(numbers == before);
}

TEST_CASE("a non-temporal copy copies every byte and no more") {
  constexpr std::size_t kLines = 77;
  std::vector<Line> source(kLines);
  std::vector<Line> target(kLines + 1);
  std::uint32_t next = 7;
  for (Line& line : source) {
    for (std::uint32_t& word : line.words) word = next++;
  }
  copy_non_temporal(target.data(), source.data(), kLines * sizeof(Line));
  for (std::size_t i = 0; i < kLines; ++i) {
    for (std::size_t k = 0; k < 16; ++k) REQUIRE(target[i].words[k] == source[i].words[k]);
  }
  for (const std::uint32_t word : target[kLines].words) CHECK(word == 0);
}

TEST_CASE("a hand-off takes some time, and not for ever") {
  const HandOff measured = probe_hand_off();
  CHECK(measured.flag_seconds > 0);
  CHECK(measured.flag_seconds < 1);
  CHECK(measured.futex_seconds > 0);
  CHECK(measured.futex_seconds < 1);
}

}  // namespace
}  // namespace smddp
