#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "smddp/status.h"

namespace smddp {

/// Where a rank listens on one of its rails.
struct RailAddress {
  std::string host;  ///< IPv4 text
  std::uint16_t port = 0;

  friend bool operator==(const RailAddress&, const RailAddress&) = default;
};

/// Where a rank listens, as published to its peers.
struct TcpAddress {
  std::string machine;  ///< boot id and network namespace; empty when loopback must not be used
  std::uint16_t port = 0;
  std::vector<std::string> hosts;    ///< IPv4 texts, best first
  std::vector<RailAddress> rails{};  ///< in their order; none where there are not several
};

/// The address of a socket that listens on `interface` (IPv4 text; empty = all interfaces).
TcpAddress local_address(const std::string& interface, std::uint16_t port);

/// "machine/port/host,host", with rails "machine/port/host,host/host:port,host:port"
std::string to_text(const TcpAddress& address);
Result<TcpAddress> parse_tcp_address(const std::string& text);

/// Where to try to reach `theirs` from here, in this order: loopback when it is the same machine,
/// then its hosts.
std::vector<std::string> routes_to(const TcpAddress& theirs);

/// How many rails this rank, which has `own`, and that one can try to use: none over loopback, or
/// where one of them has but one.
std::size_t shared_rails(std::size_t own, const TcpAddress& theirs);

}  // namespace smddp
