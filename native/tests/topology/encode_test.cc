#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/topology.h"

namespace smddp::test {
namespace {

HostTopology example() {
  return {.instance_type = "p4d.24xlarge",
          .threads_per_core = 2,
          .cpu_limit = 7.5,
          .memory_gbytes_per_s = 281.25,
          .numa_nodes = {{.cpus = {0, 1, 4, 5}}, {.cpus = {2, 3}}, {}},
          .rails = {{.name = "efa0", .gbps = 100, .numa = 0}, {.name = "eth 1"}},
          .gpus = {{.numa = 1, .rails = {0, 1}}, {}}};
}

/// One host for each field, each with another value there.
std::vector<HostTopology> variations() {
  std::vector<HostTopology> hosts(12, example());
  hosts[0].instance_type = "";
  hosts[1].threads_per_core = 1;
  hosts[2].cpu_limit = 0;
  hosts[3].memory_gbytes_per_s = 1;
  hosts[4].numa_nodes[1].cpus = {2};
  hosts[5].numa_nodes.pop_back();
  hosts[6].rails[0].name = "efa1";
  hosts[7].rails[0].gbps = 99.5;
  hosts[8].rails[0].numa = 2;
  hosts[9].gpus[0].numa = -1;
  hosts[10].gpus[0].rails = {1};
  hosts[11].gpus.pop_back();
  return hosts;
}

TEST_CASE("topology: a host survives the bytes") {
  std::vector<HostTopology> hosts = variations();
  hosts.push_back(example());
  hosts.emplace_back();
  for (const HostTopology& host : hosts) {
    const auto back = decode_host_topology(encode(host));
    REQUIRE(back.ok());
    CHECK((back.value() == host));
  }
}

TEST_CASE("topology: every truncation and anything too much is an error") {
  const std::string bytes = encode(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(decode_host_topology(std::string_view(bytes).substr(0, size)).status().code() ==
          StatusCode::kInvalidArgument);
  }
  CHECK_FALSE(decode_host_topology(bytes + '\0').ok());
}

TEST_CASE("topology: no change of one byte reads beyond the end or gives the same host") {
  const std::string bytes = encode(example());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const auto decoded = decode_host_topology(changed);
      if (decoded.ok()) CHECK_FALSE((decoded.value() == example()));
    }
  }
}

TEST_CASE("topology: indexes of what is not there, and impossible amounts, are an error") {
  std::vector<HostTopology> wrong(8, example());
  wrong[0].rails[1].numa = 3;
  wrong[1].rails[1].numa = -2;
  wrong[2].gpus[1].numa = 3;
  wrong[3].gpus[1].rails = {2};
  wrong[4].gpus[1].rails = {-1};
  wrong[5].rails[0].gbps = -1;
  wrong[6].cpu_limit = std::numeric_limits<double>::infinity();
  wrong[7].memory_gbytes_per_s = std::nan("");
  for (const HostTopology& host : wrong) CHECK_FALSE(decode_host_topology(encode(host)).ok());
}

TEST_CASE("topology: equal hosts have equal bytes") {
  HostTopology negative_zero = example();
  negative_zero.rails[1].gbps = -0.0;
  CHECK((negative_zero == example()));
  CHECK(encode(negative_zero) == encode(example()));
}

TEST_CASE("topology: the hash tells any difference, of the hosts and of the placement") {
  std::set<std::string> hashes;
  std::vector<Topology> different;
  for (const HostTopology& host : variations())
    different.push_back({.hosts = {host, example()}, .host_of_rank = {0, 0, 1, 1}});
  different.push_back({.hosts = {example(), example()}, .host_of_rank = {0, 0, 1, 1}});
  different.push_back({.hosts = {example(), example()}, .host_of_rank = {0, 1, 0, 1}});
  different.push_back({.hosts = {example(), example()}, .host_of_rank = {0, 0, 1}});
  different.push_back({.hosts = {example()}, .host_of_rank = {0, 0, 0, 0}});
  different.emplace_back();
  for (const Topology& topology : different) {
    CHECK(hash(topology).size() == 64);
    CHECK(hash(topology) == hash(Topology{topology}));
    hashes.insert(hash(topology));
  }
  CHECK(hashes.size() == different.size());
}

}  // namespace
}  // namespace smddp::test
