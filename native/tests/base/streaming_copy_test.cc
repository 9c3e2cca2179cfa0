#include "base/streaming_copy.h"

#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

TEST_CASE("copies exactly the bytes, at every alignment") {
  constexpr std::size_t kRoom = 512;
  std::vector<std::byte> source(kRoom);
  for (std::size_t i = 0; i < kRoom; ++i) source[i] = static_cast<std::byte>(i * 7 + i / 256);
  for (const std::size_t bytes : {0, 1, 15, 63, 64, 65, 127, 128, 200, 300}) {
    for (std::size_t to = 0; to < 65; to += 3) {
      for (const std::size_t from : {0, 1, 8, 33}) {
        std::vector<std::byte> target(kRoom, std::byte{0xee});
        streaming_copy(target.data() + to, source.data() + from, bytes);
        for (std::size_t i = 0; i < kRoom; ++i) {
          const bool inside = i >= to && i < to + bytes;
          REQUIRE(target[i] == (inside ? source[i - to + from] : std::byte{0xee}));
        }
      }
    }
  }
}

TEST_CASE("nothing may be copied from and to no address") {
  streaming_copy(nullptr, nullptr, 0);
  copy_of_whole(nullptr, nullptr, 0, 0);
}

}  // namespace
}  // namespace smddp
