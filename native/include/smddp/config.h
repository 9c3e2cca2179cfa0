#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace smddp {

/// Everything the engine can be told, read once by the caller (`smddp.config` holds the table of
/// the environment variables behind it, with ranges and help).
struct Config {
  std::string transport =
      "auto";           ///< auto: shared memory inside a host, tcp between hosts; tcp; ofi; inproc
  std::string host_id;  ///< overrides the detected host identity
  std::string job_secret;                 ///< empty: random, exchanged through the store
  std::string listen_address;             ///< IPv4 address for tcp; empty: all interfaces
  std::string socket_ifname;              ///< which interfaces, see select_interfaces
  std::string tcp_congestion = "auto";    ///< of tcp's streams: the system's name of one
  std::size_t stripe_bytes = 128 * 1024;  ///< tcp: over one rail at a time, where there are several
  std::string topology;  ///< what every host is taken for, by encode(HostTopology); empty: discover
  /// With which algorithms are chosen, by encode(MeasuredCosts); empty: defaults.
  std::string costs;
  /// Why this rank could not read its costs; empty: it could. All ranks report it when they meet.
  std::string costs_problem;
  std::string order = "canonical";  ///< any: sums in other orders too
  std::string partials = "native";  ///< fp32: what partial sums of 16-bit floats are between hosts
  std::string algorithm;            ///< "all_reduce=ring,broadcast=tree" instead of the fastest
  std::string ofi_provider = "auto";     ///< libfabric's provider for transport ofi
  std::string gpu_collectives = "auto";  ///< on CUDA tensors: auto, nccl, ipc, host, hierarchical
  std::string gpu_kernels;               ///< shared object with our kernels; empty: there is none
  /// That our kernels set aside on the GPU for each group; the least of all ranks counts.
  std::size_t gpu_staging_bytes = std::size_t{64} << 20;
  bool gpu_open_tensors = true;  ///< our kernels read and write other ranks' tensors in place
  std::vector<std::string> nccl_paths;  ///< where to look for NCCL, unless it is loaded already
  int nccl_min_ctas = 0;                ///< of each of its kernels; 0: NCCL's choice
  int nccl_max_ctas = 0;
  std::string nccl_cta_policy = "default";         ///< or efficiency, zero
  std::chrono::milliseconds timeout{300'000};      ///< for operations that bring none
  std::chrono::milliseconds slow_warning{10'000};  ///< one log line after this much waiting
  std::chrono::milliseconds leave_grace{2'000};    ///< longest flush when leaving in order
  std::size_t chunk_bytes = 256 * 1024;            ///< shared-memory staging per rank and half
  bool move_apart = true;          ///< ranks that share a processor, when one is free
  std::string log_level = "WARN";  ///< NONE, VERSION, WARN, INFO, TRACE
  std::string log_file;            ///< pattern with %h and %p; empty: stderr
};

}  // namespace smddp
