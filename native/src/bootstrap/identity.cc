#include "bootstrap/identity.h"

#include <cstddef>
#include <utility>

#include "base/rank_label.h"
#include "base/wire.h"

namespace smddp {
namespace {

constexpr std::size_t kMaxTextBytes = 4096;
constexpr std::size_t kMaxTopologyBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxAddresses = 32;

bool within_limits(const RankInfo& info) {
  const auto fits = [](const std::string& text) { return text.size() <= kMaxTextBytes; };
  if (!fits(info.host_id) || !fits(info.host_name) || !fits(info.abstract_name)) return false;
  for (const auto& [transport, address] : info.addresses) {
    if (!fits(transport) || !fits(address)) return false;
  }
  return info.addresses.size() <= kMaxAddresses && info.host_topology.size() <= kMaxTopologyBytes;
}

}  // namespace

std::string name_of(const RankInfo& info, const std::vector<Rank>& labels) {
  return "rank " + std::to_string(label_of(labels, info.rank)) + " (" + info.host_name + ", pid " +
         std::to_string(info.pid) + ")";
}

Result<std::string> encode(const RankInfo& info) {
  if (!within_limits(info)) {
    return Status{StatusCode::kInvalidArgument,
                  "rank " + std::to_string(info.rank) +
                      " has more to tell about itself than 32 addresses, 4096 bytes in one text or "
                      "256 KiB about its host"};
  }
  WireWriter writer;
  writer.u32(static_cast<std::uint32_t>(info.rank)).u64(static_cast<std::uint64_t>(info.pid));
  writer.string(info.host_id).string(info.host_name).string(info.abstract_name);
  writer.string(info.host_topology);
  writer.u32(static_cast<std::uint32_t>(info.addresses.size()));
  for (const auto& [transport, address] : info.addresses) writer.string(transport).string(address);
  return writer.take();
}

Result<RankInfo> decode_rank_info(std::string_view bytes) {
  WireReader reader{bytes};
  RankInfo info;
  info.rank = static_cast<Rank>(reader.u32());
  info.pid = static_cast<std::int64_t>(reader.u64());
  info.host_id = reader.string(kMaxTextBytes);
  info.host_name = reader.string(kMaxTextBytes);
  info.abstract_name = reader.string(kMaxTextBytes);
  info.host_topology = reader.string(kMaxTopologyBytes);
  const std::uint32_t count = reader.u32();
  for (std::uint32_t i = 0; i < count && i < kMaxAddresses && !reader.failed(); ++i) {
    std::string transport = reader.string(kMaxTextBytes);
    info.addresses[std::move(transport)] = reader.string(kMaxTextBytes);
  }
  if (!reader.complete() || info.addresses.size() != count) {
    return Status{StatusCode::kInvalidArgument,
                  "what a rank published about itself cannot be read"};
  }
  return info;
}

}  // namespace smddp
