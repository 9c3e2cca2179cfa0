#include <cstddef>

#include <doctest/doctest.h>

#include "smddp/topology.h"

namespace smddp {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

HostTopology host_with(std::size_t rails) {
  HostTopology host;
  host.rails.resize(rails);
  return host;
}

TEST_CASE("few hosts share 25 MiB at a time, also before they met and where no rail is known") {
  CHECK(balanced_bucket_bytes({}) == 25 * kMiB);
  CHECK(balanced_bucket_bytes({.hosts = {200, host_with(0)}}) == 25 * kMiB);
  CHECK(balanced_bucket_bytes({.hosts = {200, host_with(1)}}) == 25 * kMiB);
  CHECK(balanced_bucket_bytes({.hosts = {6, host_with(32)}}) == 25 * kMiB);
}

TEST_CASE("each host's share fills a stripe on every rail that all have") {
  CHECK(balanced_bucket_bytes({.hosts = {256, host_with(1)}}) == 32 * kMiB);
  CHECK(balanced_bucket_bytes({.hosts = {64, host_with(32)}}) == 256 * kMiB);
  Topology uneven{.hosts = {64, host_with(32)}};
  uneven.hosts[5] = host_with(16);
  CHECK(balanced_bucket_bytes(uneven) == 128 * kMiB);
}

}  // namespace
}  // namespace smddp
