#include "transport/tcp/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "smddp/topology.h"

#include "base/host_id.h"

namespace smddp {
namespace {

constexpr const char* kLoopback = "127.0.0.1";

/// Equal for two processes exactly when 127.0.0.1 is the same for both; empty when that cannot be
/// known.
std::string this_machine() {
  const Result<std::string> id = host_id("");
  return id.ok() ? id.value() : "";
}

/// This host's IPv4 addresses, the most promising first. Loopback leads nowhere from other hosts.
std::vector<std::string> host_addresses() {
  std::vector<std::string> addresses;
  const auto chosen = select_interfaces("", list_interfaces());
  if (!chosen.ok()) return addresses;
  for (const Interface& interface : chosen.value()) {
    if (!interface.is_loopback) addresses.push_back(interface.address);
  }
  return addresses;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

Status malformed(const std::string& text) {
  return {StatusCode::kInvalidArgument,
          "'" + text + "' is not an address of transport tcp; do all ranks use it?"};
}

}  // namespace

TcpAddress local_address(const std::string& interface, std::uint16_t port) {
  // A socket that listens on one interface only is not reached over loopback.
  if (!interface.empty()) return {"", port, {interface}};
  return {this_machine(), port, host_addresses()};
}

std::string to_text(const TcpAddress& address) {
  std::string hosts;
  for (const std::string& host : address.hosts) hosts += (hosts.empty() ? "" : ",") + host;
  return address.machine + "/" + std::to_string(address.port) + "/" + hosts;
}

Result<TcpAddress> parse_tcp_address(const std::string& text) {
  const std::size_t first = text.find('/');
  const std::size_t second = first == std::string::npos ? first : text.find('/', first + 1);
  if (second == std::string::npos) return malformed(text);
  TcpAddress address;
  address.machine = text.substr(0, first);
  address.hosts = split(std::string_view(text).substr(second + 1), ',');
  const char* end = text.data() + second;
  const auto [stop, error] = std::from_chars(text.data() + first + 1, end, address.port);
  if (error != std::errc{} || stop != end || address.port == 0) return malformed(text);
  for (const std::string& host : address.hosts) {
    in_addr ignored{};
    if (::inet_pton(AF_INET, host.c_str(), &ignored) != 1) return malformed(text);
  }
  return address;
}

std::vector<std::string> routes_to(const TcpAddress& theirs) {
  std::vector<std::string> routes;
  if (!theirs.machine.empty() && theirs.machine == this_machine()) routes.emplace_back(kLoopback);
  routes.insert(routes.end(), theirs.hosts.begin(), theirs.hosts.end());
  return routes;
}

}  // namespace smddp
