#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "smddp/topology.h"

#include "topology/kernel_files.h"

namespace smddp {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNvidia = "0x10de";
constexpr std::string_view kDisplayClass = "0x0300";  // VGA controller
constexpr std::string_view k3dClass = "0x0302";       // 3D controller: a GPU without outputs
constexpr std::string_view kPortIsActive = "4:";
constexpr double kLoopbackType = 772;  // ARPHRD_LOOPBACK

/// Where a PCI device is.
struct Place {
  fs::path path{};  ///< below sys/devices; empty: unknown
  int numa = -1;
};

/// How many of the first components two devices share: root complex, bridges, switches.
int shared_depth(const Place& one, const Place& other) {
  const auto [end, ignored] =
      std::mismatch(one.path.begin(), one.path.end(), other.path.begin(), other.path.end());
  return static_cast<int>(std::distance(one.path.begin(), end));
}

/// Indexes of the rails that share most of the way to the GPU, and its NUMA node where that
/// decides.
std::vector<int> nearest_rails(const Place& gpu, const std::vector<Place>& rails) {
  int deepest = 0;
  for (const Place& rail : rails) deepest = std::max(deepest, shared_depth(gpu, rail));
  std::vector<int> near;
  std::vector<int> same_node;
  for (std::size_t i = 0; i < rails.size(); ++i) {
    if (shared_depth(gpu, rails[i]) != deepest) continue;
    near.push_back(static_cast<int>(i));
    if (gpu.numa >= 0 && rails[i].numa == gpu.numa) same_node.push_back(static_cast<int>(i));
  }
  if (!same_node.empty()) return same_node;
  return deepest > 0 ? near : std::vector<int>{};
}

class Discovery {
 public:
  explicit Discovery(const DiscoveryOptions& options)
      : options_(options), sys_(fs::path(options.root) / "sys") {}

  HostTopology run();

 private:
  void read_processors();
  void read_numa_nodes(const std::vector<int>& allowed);
  void read_rdma_rails();
  void read_interface_rails();
  void read_gpus();
  Place place_of(const fs::path& device) const;

  const DiscoveryOptions& options_;
  const fs::path sys_;
  HostTopology host_;
  std::map<int, int> node_index_;  ///< the kernel's number of a node -> ours
  std::vector<Place> rail_places_;
};

HostTopology Discovery::run() {
  if (read_text(sys_ / "class/dmi/id/sys_vendor") == "Amazon EC2")
    host_.instance_type = read_text(sys_ / "class/dmi/id/product_name");
  read_processors();
  if (options_.rdma) read_rdma_rails();
  if (host_.rails.empty()) read_interface_rails();
  read_gpus();
  return std::move(host_);
}

void Discovery::read_processors() {
  const Allowance allowance = read_allowance(options_.root);
  host_.cpu_limit = allowance.cpu_limit;
  read_numa_nodes(allowance.cpus);
  std::vector<int> usable;
  for (const NumaNode& node : host_.numa_nodes)
    usable.insert(usable.end(), node.cpus.begin(), node.cpus.end());
  if (usable.empty()) return;
  std::sort(usable.begin(), usable.end());
  const fs::path first = sys_ / "devices/system/cpu" / ("cpu" + std::to_string(usable.front()));
  const auto siblings = parse_cpu_list(read_text(first / "topology/thread_siblings_list"));
  const auto is_usable = [&](int cpu) {
    return std::binary_search(usable.begin(), usable.end(), cpu);
  };
  const auto threads = std::count_if(siblings.begin(), siblings.end(), is_usable);
  host_.threads_per_core = std::max(1, static_cast<int>(threads));
}

void Discovery::read_numa_nodes(const std::vector<int>& allowed) {
  std::map<int, fs::path>
      lists;  // the kernel's number of a node -> where its processors are listed
  const fs::path folder = sys_ / "devices/system/node";
  for (const std::string& name : names_in(folder)) {
    int number = 0;
    const char* end = name.data() + name.size();
    if (!name.starts_with("node") || std::from_chars(name.data() + 4, end, number).ptr != end)
      continue;
    lists[number] = folder / name / "cpulist";
  }
  if (lists.empty()) lists[0] = sys_ / "devices/system/cpu/online";
  for (const auto& [number, list] : lists) {
    node_index_[number] = static_cast<int>(host_.numa_nodes.size());
    NumaNode node{.cpus = parse_cpu_list(read_text(list))};
    std::erase_if(node.cpus, [&](int cpu) {
      return !allowed.empty() && !std::binary_search(allowed.begin(), allowed.end(), cpu);
    });
    host_.numa_nodes.push_back(std::move(node));
  }
}

void Discovery::read_rdma_rails() {
  const fs::path folder = sys_ / "class/infiniband";
  for (const std::string& name : names_in(folder)) {
    const Place place = place_of(folder / name / "device");
    for (const std::string& port : names_in(folder / name / "ports")) {
      const fs::path about = folder / name / "ports" / port;
      if (!read_text(about / "state").starts_with(kPortIsActive)) continue;
      const double gbps = read_number(about / "rate").value_or(0);
      Rail rail{.name = name, .gbps = std::max(gbps, 0.0), .numa = place.numa};
      if (port != "1") rail.name.append(":").append(port);
      host_.rails.push_back(std::move(rail));
      rail_places_.push_back(place);
    }
  }
}

void Discovery::read_interface_rails() {
  for (const std::string& name : options_.interfaces) {
    const fs::path about = sys_ / "class/net" / name;
    if (read_number(about / "type") == kLoopbackType) continue;
    const Place place = place_of(about / "device");
    // In Mbit/s; virtual cards say -1 or nothing.
    const double mbps = read_number(about / "speed").value_or(0);
    host_.rails.push_back({.name = name, .gbps = std::max(mbps, 0.0) / 1000, .numa = place.numa});
    rail_places_.push_back(place);
  }
}

void Discovery::read_gpus() {
  const fs::path folder = sys_ / "bus/pci/devices";
  for (const std::string& address : names_in(folder)) {
    if (read_text(folder / address / "vendor") != kNvidia) continue;
    const std::string kind = read_text(folder / address / "class");
    if (!kind.starts_with(kDisplayClass) && !kind.starts_with(k3dClass)) continue;
    const Place place = place_of(folder / address);
    host_.gpus.push_back({.numa = place.numa, .rails = nearest_rails(place, rail_places_)});
  }
}

Place Discovery::place_of(const fs::path& device) const {
  std::error_code error;
  Place place;
  const fs::path real = fs::canonical(device, error);
  if (!error) place.path = real.lexically_relative(fs::canonical(sys_ / "devices", error));
  const auto node =
      node_index_.find(static_cast<int>(read_number(device / "numa_node").value_or(-1)));
  if (node != node_index_.end()) place.numa = node->second;
  // Where there is one node only, the kernel often does not say so.
  if (host_.numa_nodes.size() == 1) place.numa = 0;
  return place;
}

}  // namespace

HostTopology discover_host(const DiscoveryOptions& options) { return Discovery{options}.run(); }

}  // namespace smddp
