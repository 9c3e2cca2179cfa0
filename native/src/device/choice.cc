#include "device/choice.h"

#include <algorithm>
#include <cstring>

#include "base/rank_label.h"
#include "provider/nccl/table.h"

namespace smddp {
namespace {

// NCCL serves several ranks on one GPU from this version on, if NCCL_MULTI_RANK_GPU_ENABLE is set.
constexpr int kSharesGpus = 23000;

/// NCCL takes the parts of one GPU for one.
bool share_gpu(const GpuFacts& a, const GpuFacts& b) {
  return a.gpu.uuid == b.gpu.uuid || (a.machine == b.machine && a.gpu.pci_bus == b.gpu.pci_bus);
}

/// Why NCCL cannot serve the group; empty: it can.
std::string obstacle(const std::vector<GpuFacts>& facts, const std::vector<Rank>& labels) {
  const auto name = [&](std::size_t rank) {
    return "rank " + std::to_string(label_of(labels, static_cast<Rank>(rank)));
  };
  for (std::size_t rank = 0; rank < facts.size(); ++rank) {
    const int version = facts[rank].nccl_version;
    if (version == 0) return name(rank) + " has no NCCL";
    if (version != facts[0].nccl_version) {
      return name(0) + " has NCCL " + nccl::version_text(facts[0].nccl_version) + " and " +
             name(rank) + " " + nccl::version_text(version);
    }
    const auto same_gpu = [&](const GpuFacts& other) { return share_gpu(other, facts[rank]); };
    const auto other = std::find_if(facts.begin(), facts.end(), same_gpu);
    const auto first = static_cast<std::size_t>(other - facts.begin());
    if (first != rank && !(facts[rank].shares_gpus && version >= kSharesGpus))
      return name(first) + " and " + name(rank) + " share a GPU";
  }
  return "";
}

/// Why the hosts cannot cut tensors into the same shards; empty: they can.
std::string uneven(const Placement& placement) {
  for (int host = 1; host < placement.hosts(); ++host) {
    const auto ranks = [&](int other) { return placement.ranks_on(other).size(); };
    if (ranks(host) != ranks(0)) {
      return "hosts have " + std::to_string(ranks(0)) + " and " + std::to_string(ranks(host)) +
             " ranks";
    }
  }
  return "";
}

}  // namespace

Result<GpuCollectives> parse_gpu_collectives(const std::string& text) {
  if (text == "auto") return GpuCollectives::kAuto;
  if (text == "nccl") return GpuCollectives::kNccl;
  if (text == "host") return GpuCollectives::kHost;
  if (text == "hierarchical") return GpuCollectives::kHierarchical;
  return Status{StatusCode::kConfig,
                "GPU collectives by \"" + text + "\": there are auto, nccl, host and hierarchical"};
}

std::vector<std::byte> encode(const GpuFacts& facts) {
  std::vector<std::byte> bytes(GpuFacts::kBytes);
  std::memcpy(bytes.data(), facts.gpu.uuid.data(), 16);
  std::memcpy(bytes.data() + 16, facts.gpu.pci_bus.data(), 16);
  std::memcpy(bytes.data() + 32, &facts.machine, 8);
  std::memcpy(bytes.data() + 40, &facts.nccl_version, 4);
  bytes[44] = static_cast<std::byte>(facts.gpu.capability);
  bytes[45] = static_cast<std::byte>(facts.wanted);
  bytes[46] = static_cast<std::byte>(facts.shares_gpus);
  return bytes;
}

GpuFacts decode_gpu_facts(std::span<const std::byte> bytes) {
  GpuFacts facts;
  std::memcpy(facts.gpu.uuid.data(), bytes.data(), 16);
  std::memcpy(facts.gpu.pci_bus.data(), bytes.data() + 16, 16);
  std::memcpy(&facts.machine, bytes.data() + 32, 8);
  std::memcpy(&facts.nccl_version, bytes.data() + 40, 4);
  facts.gpu.capability = static_cast<int>(bytes[44]);
  facts.wanted = static_cast<GpuCollectives>(bytes[45]);
  facts.shares_gpus = bytes[46] != std::byte{0};
  return facts;
}

Result<GpuChoice> choose(const std::vector<GpuFacts>& facts, const Placement& placement,
                         const std::vector<Rank>& labels) {
  const GpuCollectives wanted = facts[0].wanted;
  const auto wants_other = [&](const GpuFacts& other) { return other.wanted != wanted; };
  if (const auto other = std::find_if(facts.begin(), facts.end(), wants_other);
      other != facts.end()) {
    const auto rank = static_cast<Rank>(other - facts.begin());
    return Status{StatusCode::kConfig, "SMDDP_GPU_COLLECTIVES differs between rank " +
                                           std::to_string(label_of(labels, 0)) + " and rank " +
                                           std::to_string(label_of(labels, rank)) +
                                           "; set it equally on all ranks"};
  }
  if (wanted == GpuCollectives::kHost) return GpuChoice{};
  std::string why_not = obstacle(facts, labels);
  const bool in_levels = wanted == GpuCollectives::kHierarchical && placement.hosts() > 1;
  if (in_levels && why_not.empty()) why_not = uneven(placement);
  if (why_not.empty())
    return GpuChoice{in_levels ? GpuCollectives::kHierarchical : GpuCollectives::kNccl, ""};
  if (wanted == GpuCollectives::kAuto) return GpuChoice{GpuCollectives::kHost, why_not};
  const std::string name = wanted == GpuCollectives::kNccl ? "nccl" : "hierarchical";
  return Status{StatusCode::kConfig, "SMDDP_GPU_COLLECTIVES=" + name + ", but " + why_not};
}

}  // namespace smddp
