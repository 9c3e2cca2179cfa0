#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/topology.h"

namespace smddp::test {
namespace {

const std::vector<Interface> kUsual{
    {.name = "lo", .address = "127.0.0.1", .is_loopback = true},
    {.name = "docker0", .address = "172.17.0.1"},
    {.name = "eth0", .address = "10.0.0.1"},
    {.name = "eth1", .address = "10.0.1.1"},
    {.name = "eth10", .address = "10.0.10.1"},
    {.name = "ib0", .address = "10.9.0.1"},
    {.name = "usb0", .address = "169.254.3.4"},
};

std::string names(const std::vector<Interface>& interfaces) {
  std::string text;
  for (const Interface& interface : interfaces) {
    text += (text.empty() ? "" : " ") + interface.name;
  }
  return text;
}

struct Case {
  std::string spec;
  std::string chosen;
};

TEST_CASE("interfaces: the grammar of NCCL_SOCKET_IFNAME") {
  const std::vector<Case> cases{
      {"", "eth0 eth1 eth10 ib0"},
      {"eth", "eth0 eth1 eth10"},
      {"eth1", "eth1 eth10"},
      {"=eth1", "eth1"},
      {"=eth1,eth0", "eth1 eth0"},
      {"ib,eth0", "ib0 eth0"},
      {"eth,eth1", "eth0 eth1 eth10"},
      {"^eth", "ib0"},
      {"^=eth1", "eth0 eth10 ib0"},
      {"^=eth0,eth1,eth10", "ib0"},
      {"^eth,ib", "docker0 usb0"},
      {"^eth,ib,usb", "docker0"},
      {"^eth,ib,usb,docker", "lo"},
      {"docker", "docker0"},
      {"=lo", "lo"},
      {"usb", "usb0"},
      {"nothing,ib", "ib0"},
      {",eth0,", "eth0"},
      {"^", "eth0 eth1 eth10 ib0"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.spec);
    const auto chosen = select_interfaces(each.spec, kUsual);
    REQUIRE(chosen.ok());
    CHECK(names(chosen.value()) == each.chosen);
  }
}

TEST_CASE("interfaces: loopback, bridges and link-local are used when nothing else is there") {
  for (const char* name : {"docker0", "br-12ab", "veth1", "virbr0", "lxcbr0", "cni0", "podman1"}) {
    CAPTURE(name);
    const Interface bridge{.name = name, .address = "172.18.0.1"};
    const Interface real{.name = "ens5", .address = "10.0.0.1"};
    CHECK(names(select_interfaces("", {bridge, real}).value()) == "ens5");
    CHECK(names(select_interfaces("", {kUsual[0], bridge}).value()) == name);
  }
  CHECK(names(select_interfaces("", {kUsual[0]}).value()) == "lo");
  CHECK(select_interfaces("", {}).value().empty());
}

TEST_CASE("interfaces: a specification that leaves none lists what there is") {
  for (const char* spec : {"enp", "=eth", "=lo0,eth9", "^eth,ib,lo,docker,usb"}) {
    CAPTURE(spec);
    const Status refusal = select_interfaces(spec, kUsual).status();
    CHECK(refusal.code() == StatusCode::kConfig);
    CHECK(refusal.message() ==
          "SMDDP_SOCKET_IFNAME=" + std::string(spec) +
              " leaves no network interface that is up and has an IPv4 address; there are: "
              "lo (127.0.0.1), docker0 (172.17.0.1), eth0 (10.0.0.1), eth1 (10.0.1.1), "
              "eth10 (10.0.10.1), ib0 (10.9.0.1), usb0 (169.254.3.4)");
  }
  CHECK(select_interfaces("eth", {}).status().message().ends_with("there are: none"));
}

TEST_CASE("interfaces: those of this machine have loopback among them") {
  const std::vector<Interface> here = list_interfaces();
  CHECK(std::any_of(here.begin(), here.end(), [](const Interface& interface) {
    return interface.is_loopback && interface.address == "127.0.0.1";
  }));
}

}  // namespace
}  // namespace smddp::test
