#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "smddp/status.h"
#include "smddp/types.h"

#include "provider/cuda/gpu.h"
#include "topology/placement.h"

namespace smddp {

/// What a user wants, or the ranks have chosen, for collectives on GPUs.
enum class GpuCollectives : std::uint8_t { kAuto, kNccl, kIpc, kHost, kHierarchical };

/// kConfig says what there is.
Result<GpuCollectives> parse_gpu_collectives(const std::string& text);

/// What a rank tells the others about its GPU.
struct GpuFacts {
  cuda::Identity gpu{};
  std::uint64_t machine = 0;  ///< equal for ranks on one machine, whatever hosts they take it for
  std::uint64_t process = 0;  ///< equal for ranks that are threads of one process
  std::uint64_t staging = 0;  ///< bytes that it would set aside on its GPU for our kernels
  std::int32_t nccl_version = 0;     ///< 0: it has none
  std::int32_t kernels_version = 0;  ///< of our kernels; 0: it has none
  GpuCollectives wanted = GpuCollectives::kAuto;
  bool shares_gpus = false;  ///< its NCCL is to serve ranks on one GPU too

  static constexpr std::size_t kBytes = 72;
};
std::vector<std::byte> encode(const GpuFacts& facts);
GpuFacts decode_gpu_facts(std::span<const std::byte> bytes);

/// By what a group's operations go, the same on all ranks as all know the same.
struct GpuChoice {
  GpuCollectives way = GpuCollectives::kHost;  ///< not kAuto
  /// Inside hosts: kNccl, or kIpc for our kernels; kHost where host memory is for everything.
  GpuCollectives inside = GpuCollectives::kHost;
  std::string why_not{};  ///< for people, why NCCL was not taken though it might have been
};
/// `facts` by rank, `labels` as in CommunicatorOptions. kConfig: the ranks want different things,
/// or what cannot be.
Result<GpuChoice> choose(const std::vector<GpuFacts>& facts, const Placement& placement,
                         const std::vector<Rank>& labels);

}  // namespace smddp
