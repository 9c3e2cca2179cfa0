#include "engine/keyed_order.h"

#include <deque>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace smddp::test {
namespace {

TEST_CASE(
    "keyed order: what is announced is read, in order, over as many announcements as needed") {
  std::deque<OrderEntry> entries;
  for (std::uint64_t i = 0; i < 50; ++i)
    entries.push_back({.id = id_of("key " + std::to_string(i)),
                       .name = "name " + std::string(3 * i, 'x'),
                       .outline = {.collective = Collective::kAllReduce,
                                   .dtype = DType::kFloat64,
                                   .op = ReduceOp::kMax,
                                   .root = static_cast<Rank>(i),
                                   .count = i << 40U}});
  const std::deque<OrderEntry> given = entries;
  std::deque<OrderEntry> announced;
  std::vector<OrderEntry> read;
  int announcements = 0;
  for (; !entries.empty() && announcements < 50; ++announcements) {
    const std::vector<std::byte> bytes = announce(entries, announced);
    CHECK(bytes.size() == kAnnouncementBytes);
    for (const OrderEntry& entry : read_announcement(bytes)) read.push_back(entry);
  }
  CHECK(announcements > 1);
  REQUIRE(read.size() == given.size());
  REQUIRE(announced.size() == given.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    CHECK(read[i].id == given[i].id);
    CHECK(announced[i].id == given[i].id);
    CHECK(read[i].name == given[i].name.substr(0, 160));
    CHECK(read[i].outline == given[i].outline);
  }
}

TEST_CASE("keyed order: keys that differ in one letter have different ids") {
  CHECK(id_of("layer 1/kernel") != id_of("layer 2/kernel"));
  CHECK(id_of("") != id_of("a"));
  CHECK(id_of("ab") != id_of("ba"));
}

}  // namespace
}  // namespace smddp::test
