#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "smddp/topology.h"

namespace smddp {
namespace {

/// Bridges and tunnels of containers and virtual machines, which lead nowhere from other hosts.
constexpr std::array<std::string_view, 10> kLocalOnly{"docker", "br-", "veth", "virbr",   "lxc",
                                                      "lxd",    "cni", "cali", "flannel", "podman"};
constexpr std::string_view kLinkLocal = "169.254.";

/// 0: the interfaces to use; a higher number: only where there are none of a lower one.
std::size_t last_resort(const Interface& interface) {
  if (interface.is_loopback) return 2;
  const auto begins_name = [&](std::string_view prefix) {
    return interface.name.starts_with(prefix);
  };
  const bool is_local = interface.address.starts_with(kLinkLocal) ||
                        std::any_of(kLocalOnly.begin(), kLocalOnly.end(), begins_name);
  return is_local ? 1 : 0;
}

/// SMDDP_SOCKET_IFNAME taken apart.
struct Spec {
  bool excludes = false;
  bool is_exact = false;
  std::vector<std::string_view> words{};

  bool matches(const Interface& interface, std::string_view word) const {
    return is_exact ? interface.name == word : interface.name.starts_with(word);
  }
  bool names(const Interface& interface) const {
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return matches(interface, word); });
  }
};

Spec parse(std::string_view text) {
  Spec spec;
  spec.excludes = text.starts_with('^');
  if (spec.excludes) text.remove_prefix(1);
  spec.is_exact = text.starts_with('=');
  if (spec.is_exact) text.remove_prefix(1);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (end > 0) spec.words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return spec;
}

std::vector<Interface> named(const Spec& spec, const std::vector<Interface>& interfaces) {
  std::vector<Interface> found;
  for (const std::string_view word : spec.words) {
    for (const Interface& interface : interfaces) {
      if (!spec.matches(interface, word)) continue;
      if (std::find(found.begin(), found.end(), interface) == found.end())
        found.push_back(interface);
    }
  }
  return found;
}

std::vector<Interface> not_named(const Spec& spec, const std::vector<Interface>& interfaces) {
  std::array<std::vector<Interface>, 3> resorts;
  for (const Interface& interface : interfaces) {
    if (!spec.names(interface)) resorts.at(last_resort(interface)).push_back(interface);
  }
  const auto best = std::find_if(resorts.begin(), resorts.end(),
                                 [](const auto& resort) { return !resort.empty(); });
  return best == resorts.end() ? std::vector<Interface>{} : *best;
}

std::string listed(const std::vector<Interface>& interfaces) {
  std::string text;
  for (const Interface& interface : interfaces) {
    text += (text.empty() ? "" : ", ") + interface.name + " (" + interface.address + ")";
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<Interface> list_interfaces() {
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{found, &::freeifaddrs};
  std::vector<Interface> interfaces;
  for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    if ((entry->ifa_flags & IFF_UP) == 0) continue;
    sockaddr_in in;
    std::memcpy(&in, entry->ifa_addr, sizeof(in));
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
    interfaces.push_back({.name = entry->ifa_name,
                          .address = text.data(),
                          .is_loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0});
  }
  return interfaces;
}

Result<std::vector<Interface>> select_interfaces(const std::string& spec,
                                                 const std::vector<Interface>& interfaces) {
  const Spec parsed = parse(spec);
  const bool is_list = !parsed.excludes && !parsed.words.empty();
  std::vector<Interface> chosen =
      is_list ? named(parsed, interfaces) : not_named(parsed, interfaces);
  if (chosen.empty() && !spec.empty()) {
    return Status{StatusCode::kConfig, "SMDDP_SOCKET_IFNAME=" + spec +
                                           " leaves no network interface that is up and has an "
                                           "IPv4 address; there are: " +
                                           listed(interfaces)};
  }
  return chosen;
}

}  // namespace smddp
