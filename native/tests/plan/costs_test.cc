// What the cost model makes of a demand, where it gets the speed of links, and measured costs.
#include "plan/costs.h"

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace smddp {
namespace {

Costs only_link(std::vector<LinkRate> link) {
  return {
      .hop = 0, .message = 0, .link = std::move(link), .reduce = 0, .native_step = 0, .native = 0};
}

/// Hosts with one or more rails each.
Topology with_rails(const std::vector<std::vector<double>>& gbps_by_host) {
  Topology topology;
  for (const std::vector<double>& gbps : gbps_by_host) {
    topology.host_of_rank.push_back(static_cast<int>(topology.hosts.size()));
    topology.hosts.emplace_back();
    for (const double speed : gbps) topology.hosts.back().rails.push_back(Rail{.gbps = speed});
  }
  return topology;
}

TEST_CASE("every part of a demand has its price") {
  const Costs costs{.hop = 1e-3,
                    .message = 1e-4,
                    .link = {{kAnySize, 1e-6}},
                    .reduce = 1e-7,
                    .native_step = 1e-5,
                    .native = 1e-8};
  const Demand demand{.hops = 2,
                      .messages = 3,
                      .wire = 50,
                      .piece = 10,
                      .reduced = 70,
                      .native_steps = 5,
                      .native = 90};
  const double width = 8;
  CHECK(seconds(demand, DType::kFloat64, costs) ==
        doctest::Approx(2e-3 + 3e-4 + 50 * width * 1e-6 + 70 * width * 1e-7 + 5e-5 +
                        90 * width * 1e-8));
  CHECK(seconds(Demand{}, DType::kFloat64, costs) == 0);
}

TEST_CASE("segments overlap the wire with the ranks' own work, and the slower of both remains") {
  const auto time_of = [](double wire, double native, double segments) {
    Costs costs = only_link({{kAnySize, 1}});
    costs.native = 1;
    return seconds({.wire = wire, .native = native, .segments = segments}, DType::kUint8, costs);
  };
  CHECK(time_of(80, 16, 1) == doctest::Approx(96));
  CHECK(time_of(80, 16, 8) == doctest::Approx(82));
  CHECK(time_of(16, 80, 8) == doctest::Approx(82));
}

TEST_CASE("the size of a message decides what its bytes cost; above the last size it stays") {
  const Costs costs = only_link({{100, 3e-6}, {1000, 2e-6}, {5000, 1e-6}});
  const auto time_of = [&](double piece) {
    return seconds({.wire = 10'000, .piece = piece}, DType::kUint8, costs);
  };
  CHECK(time_of(1) == doctest::Approx(0.03));
  CHECK(time_of(100) == doctest::Approx(0.03));
  CHECK(time_of(101) == doctest::Approx(0.02));
  CHECK(time_of(5000) == doctest::Approx(0.01));
  CHECK(time_of(9000) == doctest::Approx(0.01));
}

TEST_CASE("links are as fast as the rails that all hosts have, each as its slowest") {
  const auto link_of = [](double gbps) { return std::vector<LinkRate>{{kAnySize, 8e-9 / gbps}}; };
  CHECK(costs_between(with_rails({{100, 400}, {25}, {50}})).link == link_of(25));
  CHECK(costs_between(with_rails({{100, 100}, {100, 100}})).link == link_of(200));
  CHECK(costs_between(with_rails({{100, 25}, {25, 100, 400}, {50, 50}})).link == link_of(50));
  Costs expected;
  expected.link = {{kAnySize, 8e-9}};
  CHECK(costs_between(with_rails({{1}, {1}})) == expected);
}

TEST_CASE("where a speed is unknown the default stays") {
  CHECK(costs_between(with_rails({})) == Costs{});
  CHECK(costs_between(with_rails({{100}, {}})) == Costs{});
  CHECK(costs_between(with_rails({{0}, {100}})) == Costs{});
  CHECK(costs_between(with_rails({{100, 100}, {100, 0}})) == Costs{});
  CHECK(costs_between(with_rails({{100, 0}, {100}})).link.front().seconds_per_byte < 0.1e-9);
}

MeasuredCosts example() {
  return {{"ofi",
           {.hop = 5e-6,
            .message = 1e-6,
            .link = {{4096, 3e-10}, {1 << 20, 2e-10}, {kAnySize, 1e-10}},
            .reduce = 2e-10,
            .native_step = 0,
            .native = 3e-10}},
          {"tcp", only_link({})}};
}

TEST_CASE(
    "measured costs are those of their transport; links that nobody measured have the rails'") {
  const Topology topology = with_rails({{100}, {25}});
  CHECK(costs_between(topology, example(), "ofi") == example().at("ofi"));
  Costs expected = example().at("tcp");
  expected.link = costs_between(topology).link;
  CHECK(costs_between(topology, example(), "tcp") == expected);
  CHECK(costs_between(topology, example(), "inproc") == costs_between(topology));
  CHECK(costs_between(topology, {}, "tcp") == costs_between(topology));
}

TEST_CASE("measured costs survive the bytes") {
  for (const MeasuredCosts& measured : {example(), MeasuredCosts{}}) {
    const auto back = decode_costs(encode(measured));
    REQUIRE(back.ok());
    CHECK(back.value() == measured);
  }
  MeasuredCosts negative_zero = example();
  negative_zero.at("ofi").native_step = -0.0;
  CHECK(encode(negative_zero) == encode(example()));
}

TEST_CASE("measured costs that are cut off, too long or changed are never taken for the same") {
  const std::string bytes = encode(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(decode_costs(std::string_view(bytes).substr(0, size)).status().code() ==
          StatusCode::kInvalidArgument);
  }
  CHECK_FALSE(decode_costs(bytes + '\0').ok());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const auto decoded = decode_costs(changed);
      if (decoded.ok()) CHECK_FALSE(decoded.value() == example());
    }
  }
}

TEST_CASE("measured costs that cannot be are an error") {
  const auto is_refused = [](auto change) {
    MeasuredCosts wrong = example();
    change(wrong.at("ofi"));
    return !decode_costs(encode(wrong)).ok();
  };
  CHECK(is_refused([](Costs& costs) { costs.hop = -1; }));
  CHECK(is_refused([](Costs& costs) { costs.message = std::nan(""); }));
  CHECK(is_refused([](Costs& costs) { costs.reduce = std::numeric_limits<double>::infinity(); }));
  CHECK(is_refused([](Costs& costs) { costs.link[1].seconds_per_byte = 0; }));
  CHECK(is_refused([](Costs& costs) { costs.link[1].bytes = 4096; }));
  CHECK(is_refused([](Costs& costs) { costs.link.pop_back(); }));
}

}  // namespace
}  // namespace smddp
