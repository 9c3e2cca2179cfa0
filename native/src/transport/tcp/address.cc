#include "transport/tcp/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

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

bool parse_port(std::string_view text, std::uint16_t& port) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, port);
  return error == std::errc{} && stop == end && port != 0;
}

bool is_ipv4(const std::string& host) {
  in_addr ignored{};
  return ::inet_pton(AF_INET, host.c_str(), &ignored) == 1;
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
  std::string text = address.machine + "/" + std::to_string(address.port) + "/" + hosts;
  for (const RailAddress& rail : address.rails) {
    text +=
        (&rail == &address.rails.front() ? "/" : ",") + rail.host + ":" + std::to_string(rail.port);
  }
  return text;
}

Result<TcpAddress> parse_tcp_address(const std::string& text) {
  const std::vector<std::string> parts = split(text, '/');
  const auto slashes = std::count(text.begin(), text.end(), '/');
  if (slashes < 2 || slashes > 3) return malformed(text);
  TcpAddress address;
  address.machine = parts[0];
  const bool is_port = parse_port(parts[1], address.port);
  if (parts.size() > 2) address.hosts = split(parts[2], ',');
  if (!is_port || !std::all_of(address.hosts.begin(), address.hosts.end(), is_ipv4))
    return malformed(text);
  if (parts.size() <= 3) return address;
  for (const std::string& rail : split(parts[3], ',')) {
    const std::size_t colon = std::min(rail.find(':'), rail.size() - 1);
    RailAddress where{.host = rail.substr(0, colon)};
    if (!parse_port(rail.substr(colon + 1), where.port) || !is_ipv4(where.host))
      return malformed(text);
    address.rails.push_back(std::move(where));
  }
  return address;
}

std::vector<std::string> routes_to(const TcpAddress& theirs) {
  std::vector<std::string> routes;
  if (!theirs.machine.empty() && theirs.machine == this_machine()) routes.emplace_back(kLoopback);
  routes.insert(routes.end(), theirs.hosts.begin(), theirs.hosts.end());
  return routes;
}

std::size_t shared_rails(std::size_t own, const TcpAddress& theirs) {
  if (!theirs.machine.empty() && theirs.machine == this_machine()) return 0;
  const std::size_t shared = std::min(own, theirs.rails.size());
  return shared > 1 ? shared : 0;
}

}  // namespace smddp
