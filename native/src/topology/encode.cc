#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "smddp/topology.h"

#include "base/auth.h"
#include "base/sha256.h"
#include "base/wire.h"

namespace smddp {
namespace {

constexpr std::size_t kMaxTextBytes = 4096;

void put(WireWriter& writer, int value) { writer.u32(static_cast<std::uint32_t>(value)); }

void put(WireWriter& writer, const std::vector<int>& values) {
  writer.u32(static_cast<std::uint32_t>(values.size()));
  for (const int value : values) put(writer, value);
}

int take_int(WireReader& reader) { return static_cast<int>(reader.u32()); }

/// Calls `take` for each of the items that the bytes announce, as far as they go.
template <typename Take>
void take_each(WireReader& reader, const Take& take) {
  const std::uint32_t count = reader.u32();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) take();
}

std::vector<int> take_ints(WireReader& reader) {
  std::vector<int> values;
  take_each(reader, [&] { values.push_back(take_int(reader)); });
  return values;
}

bool is_amount(double value) { return std::isfinite(value) && !std::signbit(value); }

bool is_index(int value, std::size_t size) {
  return value >= 0 && static_cast<std::size_t>(value) < size;
}

bool is_sound(const HostTopology& host) {
  if (!is_amount(host.cpu_limit) || !is_amount(host.memory_gbytes_per_s)) return false;
  const auto is_numa = [&](int numa) {
    return numa == -1 || is_index(numa, host.numa_nodes.size());
  };
  for (const Rail& rail : host.rails) {
    if (!is_numa(rail.numa) || !is_amount(rail.gbps)) return false;
  }
  for (const Gpu& gpu : host.gpus) {
    if (!is_numa(gpu.numa)) return false;
    for (const int rail : gpu.rails) {
      if (!is_index(rail, host.rails.size())) return false;
    }
  }
  return true;
}

}  // namespace

std::string encode(const HostTopology& host) {
  WireWriter writer;
  writer.string(host.instance_type);
  put(writer, host.threads_per_core);
  writer.f64(host.cpu_limit);
  writer.f64(host.memory_gbytes_per_s);
  writer.u32(static_cast<std::uint32_t>(host.numa_nodes.size()));
  for (const NumaNode& node : host.numa_nodes) put(writer, node.cpus);
  writer.u32(static_cast<std::uint32_t>(host.rails.size()));
  for (const Rail& rail : host.rails) {
    writer.string(rail.name);
    writer.f64(rail.gbps);
    put(writer, rail.numa);
  }
  writer.u32(static_cast<std::uint32_t>(host.gpus.size()));
  for (const Gpu& gpu : host.gpus) {
    put(writer, gpu.numa);
    put(writer, gpu.rails);
  }
  return writer.take();
}

Result<HostTopology> decode_host_topology(std::string_view bytes) {
  WireReader reader{bytes};
  HostTopology host;
  host.instance_type = reader.string(kMaxTextBytes);
  host.threads_per_core = take_int(reader);
  host.cpu_limit = reader.f64();
  host.memory_gbytes_per_s = reader.f64();
  take_each(reader, [&] { host.numa_nodes.push_back({.cpus = take_ints(reader)}); });
  take_each(reader, [&] {
    std::string name = reader.string(kMaxTextBytes);
    const double gbps = reader.f64();
    host.rails.push_back({.name = std::move(name), .gbps = gbps, .numa = take_int(reader)});
  });
  take_each(reader, [&] {
    const int numa = take_int(reader);
    host.gpus.push_back({.numa = numa, .rails = take_ints(reader)});
  });
  if (!reader.complete() || !is_sound(host)) {
    return Status{StatusCode::kInvalidArgument, "the description of a host cannot be read"};
  }
  return host;
}

std::string hash(const Topology& topology) {
  WireWriter writer;
  writer.string("smddp topology 1");
  writer.u32(static_cast<std::uint32_t>(topology.hosts.size()));
  for (const HostTopology& host : topology.hosts) writer.string(encode(host));
  put(writer, topology.host_of_rank);
  return to_hex(sha256(writer.take()));
}

}  // namespace smddp
