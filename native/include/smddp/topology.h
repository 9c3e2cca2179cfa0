#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "smddp/export.h"
#include "smddp/status.h"

namespace smddp {

// What a job runs on, as a value: equal hosts give equal values on every rank. Discovered from
// sysfs, or described by people (docs/topology.md). `smddp.topology` mirrors these types in Python.

struct NumaNode {
  std::vector<int> cpus{};  ///< logical processors that the job may use, ascending

  friend bool operator==(const NumaNode&, const NumaNode&) = default;
};

/// A network card, or one port of it.
struct Rail {
  std::string name{};
  double gbps = 0;  ///< 10^9 bit/s in each direction; 0: unknown
  int numa = -1;    ///< index of the NUMA node that it hangs on; -1: unknown

  friend bool operator==(const Rail&, const Rail&) = default;
};

/// A GPU or another accelerator.
struct Gpu {
  int numa = -1;             ///< index of the NUMA node that it hangs on; -1: unknown
  std::vector<int> rails{};  ///< indexes of the nearest rails, ascending; empty: none is nearer

  friend bool operator==(const Gpu&, const Gpu&) = default;
};

struct HostTopology {
  std::string instance_type{};  ///< of EC2; empty: unknown, or none
  int threads_per_core = 1;
  double cpu_limit = 0;  ///< processors that the control group's quota is worth; 0: no limit
  double memory_gbytes_per_s = 0;  ///< 10^9 bytes/s, all NUMA nodes together; 0: unknown
  std::vector<NumaNode> numa_nodes{};
  std::vector<Rail> rails{};
  std::vector<Gpu> gpus{};  ///< in the order of their PCI addresses

  friend bool operator==(const HostTopology&, const HostTopology&) = default;
};

struct Topology {
  std::vector<HostTopology> hosts{};  ///< in the order of their lowest ranks
  std::vector<int> host_of_rank{};    ///< index of the host that each rank is on

  friend bool operator==(const Topology&, const Topology&) = default;
};

/// The canonical bytes of a host: equal exactly for equal values.
SMDDP_API std::string encode(const HostTopology& host);
/// kInvalidArgument when the bytes are not exactly one encoded host, or hold an index or an amount
/// that cannot be.
SMDDP_API Result<HostTopology> decode_host_topology(std::string_view bytes);

/// SHA-256 over the canonical bytes of a topology, as 64 hexadecimal digits.
SMDDP_API std::string hash(const Topology& topology);

/// How many bytes of gradients should share one all_reduce: 25 MiB, as torch and the original have
/// it, and more where each host's share of that would not fill a stripe of 128 KiB (the least that
/// aws-ofi-nccl cuts) on every rail that all hosts have. After Herring's balanced fusion buffers
/// (SC20), whose shards keep their size as hosts are added.
SMDDP_API std::size_t balanced_bucket_bytes(const Topology& topology);

/// A network interface that is up, with one IPv4 address.
struct Interface {
  std::string name{};
  std::string address{};
  bool is_loopback = false;

  friend bool operator==(const Interface&, const Interface&) = default;
};

/// Those of this process's network namespace, in the system's order.
SMDDP_API std::vector<Interface> list_interfaces();

/// The interfaces to use, the first choice first.
///
/// `spec` has the grammar of NCCL_SOCKET_IFNAME: a list of prefixes ("eth,ib"), of names
/// ("=eth0,eth1"), or of what to leave out ("^docker", "^=eth2"); empty: any. What is named comes
/// in the list's order. Otherwise loopback, bridges of containers and link-local addresses are used
/// only when nothing else is there. kConfig: `spec` leaves none; lists those that there are.
SMDDP_API Result<std::vector<Interface>> select_interfaces(
    const std::string& spec, const std::vector<Interface>& interfaces);

struct DiscoveryOptions {
  std::vector<std::string> interfaces{};  ///< names of the network interfaces to use, best first
  bool rdma = true;  ///< active RDMA devices (InfiniBand, EFA) are used instead
  std::string root = "/";
};
/// Describes this host from the files below `root`/sys and `root`/proc. Its rails are the active
/// RDMA devices, if those are used and there are any, else the interfaces except loopback. What
/// cannot be read stays unknown.
SMDDP_API HostTopology discover_host(const DiscoveryOptions& options);

}  // namespace smddp
