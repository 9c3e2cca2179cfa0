#include "device/choice.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/rank_label.h"
#include "provider/cuda/kernel_arguments.h"
#include "provider/nccl/table.h"

namespace smddp {
namespace {

// NCCL serves several ranks on one GPU from this version on, if NCCL_MULTI_RANK_GPU_ENABLE is set.
constexpr int kSharesGpus = 23000;

/// NCCL takes the parts of one GPU for one.
bool share_gpu(const GpuFacts& a, const GpuFacts& b) {
  return a.gpu.uuid == b.gpu.uuid || (a.machine == b.machine && a.gpu.pci_bus == b.gpu.pci_bus);
}

/// Says why some ranks of a group cannot go a way; an empty text: they can.
class Obstacles {
 public:
  Obstacles(const std::vector<GpuFacts>& facts, const std::vector<Rank>& labels)
      : facts_(facts), labels_(labels) {}

  std::string to_nccl(const std::vector<Rank>& ranks) const {
    const GpuFacts& first = of(ranks.front());
    for (const Rank rank : ranks) {
      const int version = of(rank).nccl_version;
      if (version == 0) return name(rank) + " has no NCCL";
      if (version != first.nccl_version) {
        return name(ranks.front()) + " has NCCL " + nccl::version_text(first.nccl_version) +
               " and " + name(rank) + " " + nccl::version_text(version);
      }
      const bool may_share = of(rank).shares_gpus && version >= kSharesGpus;
      const auto other = std::find_if(ranks.begin(), ranks.end(),
                                      [&](Rank one) { return share_gpu(of(one), of(rank)); });
      if (*other != rank && !may_share) return name(*other) + " and " + name(rank) + " share a GPU";
    }
    return "";
  }

  std::string to_ipc(const std::vector<Rank>& ranks) const {
    if (ranks.size() > cuda::kMostRanks)
      return "our kernels serve at most " + std::to_string(cuda::kMostRanks) + " ranks of a host";
    for (const Rank rank : ranks) {
      if (of(rank).kernels_version == 0) return name(rank) + " has no kernels for GPUs";
      if (of(rank).kernels_version != of(ranks.front()).kernels_version)
        return name(ranks.front()) + " and " + name(rank) + " have different versions of smddp";
      const auto other = std::find_if(ranks.begin(), ranks.end(), [&](Rank one) {
        return one < rank && of(one).process == of(rank).process &&
               of(one).gpu.uuid != of(rank).gpu.uuid;
      });
      if (other != ranks.end())
        return name(*other) + " and " + name(rank) + " are one process with several GPUs";
    }
    return "";
  }

 private:
  const GpuFacts& of(Rank rank) const { return facts_[static_cast<std::size_t>(rank)]; }
  std::string name(Rank rank) const { return "rank " + std::to_string(label_of(labels_, rank)); }

  const std::vector<GpuFacts>& facts_;
  const std::vector<Rank>& labels_;
};

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

Status impossible(const std::string& wanted, const std::string& why) {
  return {StatusCode::kConfig, "SMDDP_GPU_COLLECTIVES=" + wanted + ", but " + why};
}

/// What there is to choose from, and why not.
class Ways {
 public:
  Ways(const Obstacles& obstacles, const Placement& placement) {
    std::vector<Rank> all(static_cast<std::size_t>(placement.world()));
    std::iota(all.begin(), all.end(), 0);
    not_nccl_ = obstacles.to_nccl(all);
    not_ipc_ = placement.hosts() > 1 ? "there are several hosts" : obstacles.to_ipc(all);
    not_levels_ = uneven(placement);
    for (int host = 0; host < placement.hosts(); ++host) {
      if (not_nccl_inside_.empty()) not_nccl_inside_ = obstacles.to_nccl(placement.ranks_on(host));
      if (not_ipc_inside_.empty()) not_ipc_inside_ = obstacles.to_ipc(placement.ranks_on(host));
    }
    if (not_levels_.empty() && !not_nccl_inside_.empty() && !not_ipc_inside_.empty())
      not_levels_ = not_nccl_inside_ + ", and " + not_ipc_inside_;
  }

  Result<GpuChoice> by_nccl() const {
    if (!not_nccl_.empty()) return impossible("nccl", not_nccl_);
    return GpuChoice{GpuCollectives::kNccl, GpuCollectives::kNccl, ""};
  }
  Result<GpuChoice> by_ipc() const {
    if (!not_ipc_.empty()) return impossible("ipc", not_ipc_);
    return GpuChoice{GpuCollectives::kIpc, GpuCollectives::kIpc, not_nccl_};
  }
  Result<GpuChoice> in_levels() const {
    if (!not_levels_.empty()) return impossible("hierarchical", not_levels_);
    const auto inside = not_nccl_inside_.empty() ? GpuCollectives::kNccl : GpuCollectives::kIpc;
    return GpuChoice{GpuCollectives::kHierarchical, inside, not_nccl_};
  }
  GpuChoice by_host() const {
    return {GpuCollectives::kHost, GpuCollectives::kHost,
            not_nccl_ + ", and " + (not_ipc_inside_.empty() ? not_ipc_ : not_ipc_inside_)};
  }

 private:
  // Why not, for people; empty: it can be.
  std::string not_nccl_;
  std::string not_ipc_;
  std::string not_levels_;
  std::string not_nccl_inside_;  ///< inside some host
  std::string not_ipc_inside_;
};

/// NCCL, then kernels of our own, then the one or the other inside hosts, then host memory.
GpuChoice best(const Ways& ways, const Placement& placement) {
  if (const auto nccl = ways.by_nccl(); nccl.ok()) return nccl.value();
  if (const auto ipc = ways.by_ipc(); ipc.ok()) return ipc.value();
  const bool has_levels = placement.hosts() > 1 && placement.hosts() < placement.world();
  if (const auto levels = ways.in_levels(); has_levels && levels.ok()) return levels.value();
  return ways.by_host();
}

}  // namespace

Result<GpuCollectives> parse_gpu_collectives(const std::string& text) {
  if (text == "auto") return GpuCollectives::kAuto;
  if (text == "nccl") return GpuCollectives::kNccl;
  if (text == "ipc") return GpuCollectives::kIpc;
  if (text == "host") return GpuCollectives::kHost;
  if (text == "hierarchical") return GpuCollectives::kHierarchical;
  return Status{StatusCode::kConfig, "GPU collectives by \"" + text +
                                         "\": there are auto, nccl, ipc, host and hierarchical"};
}

std::vector<std::byte> encode(const GpuFacts& facts) {
  std::vector<std::byte> bytes(GpuFacts::kBytes);
  std::memcpy(bytes.data(), facts.gpu.uuid.data(), 16);
  std::memcpy(bytes.data() + 16, facts.gpu.pci_bus.data(), 16);
  std::memcpy(bytes.data() + 32, &facts.machine, 8);
  std::memcpy(bytes.data() + 40, &facts.process, 8);
  std::memcpy(bytes.data() + 48, &facts.nccl_version, 4);
  std::memcpy(bytes.data() + 52, &facts.kernels_version, 4);
  bytes[56] = static_cast<std::byte>(facts.gpu.capability);
  bytes[57] = static_cast<std::byte>(facts.wanted);
  bytes[58] = static_cast<std::byte>(facts.shares_gpus);
  std::memcpy(bytes.data() + 64, &facts.staging, 8);
  return bytes;
}

GpuFacts decode_gpu_facts(std::span<const std::byte> bytes) {
  GpuFacts facts;
  std::memcpy(facts.gpu.uuid.data(), bytes.data(), 16);
  std::memcpy(facts.gpu.pci_bus.data(), bytes.data() + 16, 16);
  std::memcpy(&facts.machine, bytes.data() + 32, 8);
  std::memcpy(&facts.process, bytes.data() + 40, 8);
  std::memcpy(&facts.nccl_version, bytes.data() + 48, 4);
  std::memcpy(&facts.kernels_version, bytes.data() + 52, 4);
  facts.gpu.capability = static_cast<int>(bytes[56]);
  facts.wanted = static_cast<GpuCollectives>(bytes[57]);
  facts.shares_gpus = bytes[58] != std::byte{0};
  std::memcpy(&facts.staging, bytes.data() + 64, 8);
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
  const Ways ways{Obstacles{facts, labels}, placement};
  switch (wanted) {
    case GpuCollectives::kNccl:
      return ways.by_nccl();
    case GpuCollectives::kIpc:
      return ways.by_ipc();
    case GpuCollectives::kHierarchical:
      if (placement.hosts() > 1) return ways.in_levels();
      return ways.by_nccl().ok() ? ways.by_nccl() : ways.by_ipc();
    default:
      return best(ways, placement);
  }
}

}  // namespace smddp
