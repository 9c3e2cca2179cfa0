// Whole collectives in virtual time, against times computed by hand.
#include "smddp/simulate.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

constexpr double kRate = 1e9;  // bytes per second of a rail: 8 Gbit/s

/// A hop costs 10 us; processors cost nothing.
Costs only_wire() {
  return {.hop = 10e-6, .message = 0, .reduce = 0, .native_step = 0, .native = 0};
}

Topology hosts_of(int hosts, int ranks = 1, std::vector<double> gbps = {8}) {
  Topology topology;
  HostTopology host;
  for (const double speed : gbps)
    host.rails.push_back({.name = std::to_string(host.rails.size()), .gbps = speed});
  topology.hosts.assign(static_cast<std::size_t>(hosts), host);
  for (int rank = 0; rank < hosts * ranks; ++rank) topology.host_of_rank.push_back(rank / ranks);
  return topology;
}

SimulatedCall call_of(Collective collective, std::size_t count, const std::string& algorithm) {
  return {.call = {.collective = collective, .count = count}, .algorithm = algorithm};
}

Simulation simulated(const std::vector<SimulatedCall>& calls, const Topology& topology,
                     const Costs& costs, const SimulatedMachine& machine = {},
                     const SimulationOptions& options = {}) {
  Result<Simulation> simulation =
      simulate(calls, topology, {.costs = costs, .order = "any"}, machine, options);
  REQUIRE(simulation.ok());
  return std::move(simulation).value();
}

double seconds(const SimulatedCall& call, const Topology& topology, const Costs& costs,
               const SimulatedMachine& machine = {}) {
  return simulated({call}, topology, costs, machine).seconds;
}

TEST_CASE("one message takes a hop and its bytes") {
  const auto call = call_of(Collective::kBroadcast, 1'000'000, "tree");
  const double expected = 10e-6 + 4e6 / kRate;
  CHECK(seconds(call, hosts_of(2), only_wire()) == doctest::Approx(expected));
  // A hop includes the processors' time.
  Costs costs = only_wire();
  costs.message = 6e-6;
  CHECK(seconds(call, hosts_of(2), costs) == doctest::Approx(expected));
  CHECK(seconds(call, hosts_of(2), costs, {.efficiency = 0.5}) ==
        doctest::Approx(expected + 4e6 / kRate));
}

TEST_CASE("partial sums in float32 are twice the bytes of 16-bit elements") {
  const SimulatedCall call{.call = {.dtype = DType::kBFloat16, .count = 4000}, .algorithm = "mesh"};
  const auto sent = [&](int ranks, const std::string& partials) {
    const PlanSettings settings{.costs = only_wire(), .partials = partials};
    return simulate({call}, hosts_of(2, ranks), settings, {}, {}).value();
  };
  // Each rank sends half of its lane, and half of the result.
  CHECK(sent(2, "native").sent_bytes == 1000 * 2 + 1000 * 2);
  CHECK(sent(2, "fp32").sent_bytes == 1000 * 4 + 1000 * 2);
  CHECK(sent(2, "fp32").seconds == doctest::Approx(20e-6 + 2 * 6000 / kRate));
  CHECK(sent(1, "fp32").sent_bytes == sent(1, "native").sent_bytes);
}

TEST_CASE("bytes of small messages cost more, where the costs say so") {
  Costs costs = only_wire();
  costs.link = {{1000, 3e-9}, {kAnySize, 1e-9}};
  CHECK(seconds(call_of(Collective::kBroadcast, 250, "tree"), hosts_of(2), costs) ==
        doctest::Approx(10e-6 + 3 * 1000 / kRate));
  // A rail of unknown speed is as fast as the costs say.
  CHECK(seconds(call_of(Collective::kBroadcast, 1000, "tree"), hosts_of(2, 1, {}), costs) ==
        doctest::Approx(10e-6 + 4000e-9));
}

TEST_CASE("a rail lets some bytes pass at once after a pause") {
  const SimulatedMachine machine{.burst = 100'000};
  const auto call = call_of(Collective::kBroadcast, 1'000'000, "tree");
  CHECK(seconds(call, hosts_of(2), only_wire(), machine) == doctest::Approx(10e-6 + 3.9e6 / kRate));
  SimulatedCall later = call;
  later.ready = 4.05e-3;  // 150 us after the rail became idle
  const auto both = simulated({call, later}, hosts_of(2), only_wire(), machine);
  CHECK(both.ends[1] == doctest::Approx(4.05e-3 + 10e-6 + 3.9e6 / kRate));
  later.ready = 3.95e-3;  // 50 us after it
  CHECK(simulated({call, later}, hosts_of(2), only_wire(), machine).ends[1] ==
        doctest::Approx(3.95e-3 + 10e-6 + 3.95e6 / kRate));
}

TEST_CASE("two messages share the rail that both leave by") {
  // Each of 3 hosts sends its vector to both others, and adds 3.
  Costs costs = only_wire();
  costs.reduce = 1e-9;
  CHECK(seconds(call_of(Collective::kAllReduce, 1000, "one_step"), hosts_of(3), costs) ==
        doctest::Approx(10e-6 + 2 * 4000 / kRate + 3 * 4000e-9));
}

TEST_CASE("mesh takes two hops and 2 (N - 1) / N of the vector") {
  for (const int hosts : {2, 3, 4, 8}) {
    const double bytes = 4.0 * hosts * 1000;
    const double expected = 2 * 10e-6 + 2.0 * (hosts - 1) / hosts * bytes / kRate;
    CHECK(seconds(call_of(Collective::kAllReduce, static_cast<std::size_t>(hosts) * 1000, "mesh"),
                  hosts_of(hosts), only_wire()) == doctest::Approx(expected));
  }
}

TEST_CASE("many flows into one rail are slower, where incast costs") {
  // The root's host gets two vectors at once, and greetings.
  const auto call = call_of(Collective::kReduce, 100'000, "mesh");
  const double bytes = 2 * 4e5;
  CHECK(seconds(call, hosts_of(3), only_wire()) == doctest::Approx(10e-6 + bytes / kRate));
  CHECK(seconds(call, hosts_of(3), only_wire(), {.incast = 0.25}) ==
        doctest::Approx(10e-6 + 1.25 * bytes / kRate));
}

TEST_CASE("messages keep a processor busy one after the other") {
  Costs costs = only_wire();
  costs.message = 4e-6;
  // Posting both messages takes 2 us each; the second arrives 6 us later and is taken in 2 us.
  CHECK(seconds(call_of(Collective::kAllReduce, 0, "one_step"), hosts_of(3), costs) ==
        doctest::Approx(2 * 2e-6 + 6e-6 + 2e-6));
  // One processor does the same for all three hosts.
  const SimulatedMachine machine{.processors = 1, .one_machine = true};
  CHECK(seconds(call_of(Collective::kAllReduce, 0, "one_step"), hosts_of(3), costs, machine) ==
        doctest::Approx(3 * 2 * 2e-6 + 3 * 2 * 2e-6));
}

TEST_CASE("ranks that wait wake up late where they are more than the processors") {
  const auto call = call_of(Collective::kAllReduce, 0, "mesh");
  const auto time_of = [&](const Topology& topology, double processors) {
    const SimulatedMachine machine{.processors = processors, .one_machine = true, .wake = 100e-6};
    return seconds(call, topology, only_wire(), machine);
  };
  CHECK(time_of(hosts_of(4), 4) == doctest::Approx(2 * 10e-6));
  CHECK(time_of(hosts_of(4), 2) == doctest::Approx(2 * 110e-6));
  CHECK(time_of(hosts_of(4), 1) == doctest::Approx(2 * 310e-6));
}

TEST_CASE("a processor that copies bytes can be the limit") {
  const auto call = call_of(Collective::kBroadcast, 1'000'000, "tree");
  const SimulatedMachine slow{.receive_byte = 3e-9};
  CHECK(seconds(call, hosts_of(2), only_wire(), slow) == doctest::Approx(10e-6 + 4e6 * 3e-9));
  const SimulatedMachine shared{
      .send_byte = 1e-9, .receive_byte = 3e-9, .processors = 1, .one_machine = true};
  CHECK(seconds(call, hosts_of(2), only_wire(), shared) == doctest::Approx(10e-6 + 4e6 * 4e-9));
}

TEST_CASE("rails of a host add up, whether ranks have their own or not") {
  const auto call = call_of(Collective::kAllReduce, 24'000, "mesh");
  const auto time_of = [&](const Topology& topology, bool own_rails) {
    return seconds(call, topology, only_wire(), {.own_rails = own_rails});
  };
  const double wire = 96e3 / kRate;
  CHECK(time_of(hosts_of(2, 1, {8, 8}), false) == doctest::Approx(2 * 10e-6 + wire / 2));
  CHECK(time_of(hosts_of(2, 4, {8, 4}), false) == doctest::Approx(2 * 10e-6 + wire / 1.5));
  CHECK(time_of(hosts_of(2, 1, {8, 4}), true) == doctest::Approx(2 * 10e-6 + wire / 1.5));
  CHECK(time_of(hosts_of(2, 4, {8, 8}), true) == doctest::Approx(2 * 10e-6 + wire / 2));
}

TEST_CASE("native steps cost every rank its bytes, and wait for all") {
  Costs costs = only_wire();
  costs.native_step = 5e-6;
  costs.native = 1e-9;
  CHECK(seconds(call_of(Collective::kAllReduce, 1000, ""), hosts_of(1, 4), costs) ==
        doctest::Approx(5e-6 + 2 * 4000e-9));
  CHECK(seconds(call_of(Collective::kAllReduce, 1000, ""), hosts_of(1, 4), costs,
                {.processors = 2}) == doctest::Approx(2 * (5e-6 + 2 * 4000e-9)));
  Topology slow_memory = hosts_of(1, 4);
  slow_memory.hosts[0].memory_gbytes_per_s = 2;
  CHECK(seconds(call_of(Collective::kAllReduce, 1000, ""), slow_memory, costs) ==
        doctest::Approx(2 * (5e-6 + 2 * 4000e-9)));
}

TEST_CASE("calls overlap as far as they may") {
  const SimulatedCall call = call_of(Collective::kBroadcast, 1'000'000, "tree");
  const double one = 10e-6 + 4e6 / kRate;
  const auto in_turn = simulated({call, call}, hosts_of(2), only_wire());
  CHECK(in_turn.ends[0] == doctest::Approx(one));
  // Sent when the bytes have left; the second one's do not wait for the first one's arrival.
  CHECK(in_turn.ends[1] == doctest::Approx(one + 4e6 / kRate));
  const auto at_once = simulated({call, call}, hosts_of(2), only_wire(), {}, {.in_flight = 2});
  CHECK(at_once.ends[1] == doctest::Approx(10e-6 + 2 * 4e6 / kRate));
  SimulatedCall later = call;
  later.ready = 1;
  CHECK(simulated({call, later}, hosts_of(2), only_wire()).seconds == doctest::Approx(1 + one));
}

TEST_CASE("ranks that start late make the others wait, the same way for the same seed") {
  const SimulatedCall call = call_of(Collective::kAllReduce, 0, "mesh");
  const auto late = [&](unsigned seed) {
    return seconds(call, hosts_of(4), only_wire(), {.start_skew = 1e-3, .seed = seed});
  };
  CHECK(late(1) == late(1));
  CHECK(late(1) != late(2));
  CHECK(late(1) > 20e-6);
  CHECK(late(1) <= 1e-3 + 20e-6);
}

TEST_CASE("the timeline has every step of the ranks simulated") {
  const auto found = simulated({call_of(Collective::kAllReduce, 1000, "one_step")}, hosts_of(2),
                               only_wire(), {}, {.fold = false, .timeline = true});
  REQUIRE(found.steps.size() == 6);
  CHECK(found.steps[0].kind == "send");
  CHECK(found.steps[0].peer == 1);
  CHECK(found.steps[0].bytes == 4000);
  CHECK(found.steps[0].end == doctest::Approx(4000 / kRate));
  CHECK(found.steps[1].kind == "recv");
  CHECK(found.steps[1].end == doctest::Approx(10e-6 + 4000 / kRate));
  CHECK(found.steps[2].kind == "reduce");
  CHECK(found.messages == 2);
  CHECK(found.sent_bytes == 4000);
}

TEST_CASE("thousands of ranks are simulated") {
  const std::size_t bucket = 64 << 18;
  const auto mesh =
      simulated({call_of(Collective::kAllReduce, bucket, "mesh")}, hosts_of(256, 8), Costs{});
  CHECK(mesh.ranks.size() == 1);
  const double wire = 2.0 * 255 / 256 * static_cast<double>(bucket) * 4 / kRate;
  CHECK(mesh.seconds > wire);
  CHECK(mesh.seconds < 1.25 * wire);
  const auto tree =
      simulated({call_of(Collective::kBroadcast, bucket, "tree")}, hosts_of(128, 8), Costs{});
  CHECK(tree.ranks.size() == 1024);
}

TEST_CASE("what cannot be is an error") {
  const SimulatedCall call = call_of(Collective::kAllReduce, 10, "");
  const Topology topology = hosts_of(3);
  const auto error_of = [&](const std::vector<SimulatedCall>& calls,
                            const SimulatedMachine& machine, const SimulationOptions& options) {
    return simulate(calls, topology, {}, machine, options).status().message();
  };
  CHECK(error_of({}, {}, {}) == "there is nothing to simulate");
  CHECK(error_of({call}, {.efficiency = 0}, {}) == "efficiency: must be above 0 and at most 1");
  CHECK(error_of({call}, {.incast = -1}, {}) == "machine: -1.000000 is no amount");
  CHECK(error_of({call}, {}, {.in_flight = 0}) == "in_flight: at least one call is on the way");
  CHECK(error_of({call_of(Collective::kAllReduce, 10, "halving")}, {}, {}) ==
        "all_reduce by halving: needs a power of two of hosts");
  CHECK(error_of({call_of(Collective::kAllReduce, 10, "magic")}, {}, {}) ==
        "all_reduce by magic: there is no such algorithm");
}

}  // namespace
}  // namespace smddp
