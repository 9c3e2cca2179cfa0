#pragma once

#include <array>
#include <climits>
#include <cstddef>

namespace smddp::nccl {

// NCCL's C interface as its library has it in memory, so that no header of NCCL or CUDA is needed
// to build (docs.nvidia.com/deeplearning/nccl: API). Numbers and layouts never change there; what
// is new comes at the end.

struct Comm;                 ///< ncclComm
struct StreamType;           ///< CUstream_st
using Stream = StreamType*;  ///< cudaStream_t; null: the legacy default stream

struct UniqueId {
  std::array<char, 128> bytes{};
};
static_assert(sizeof(UniqueId) == 128);

enum class ResultCode : int {
  kSuccess = 0,
  kUnhandledCudaError = 1,
  kSystemError = 2,
  kInternalError = 3,
  kInvalidArgument = 4,
  kInvalidUsage = 5,
  kRemoteError = 6,
  kInProgress = 7,
  kTimeout = 8,
};

enum class DataType : int {
  kInt8 = 0,  ///< also bytes of any dtype that only move
  kUint8 = 1,
  kInt32 = 2,
  kUint32 = 3,
  kInt64 = 4,
  kUint64 = 5,
  kFloat16 = 6,
  kFloat32 = 7,
  kFloat64 = 8,
  kBFloat16 = 9,
  kFloat8E4m3 = 10,
  kFloat8E5m2 = 11,
};

enum class RedOp : int { kSum = 0, kProduct = 1, kMax = 2, kMin = 3, kAverage = 4 };

/// ncclConfig_t as 2.27 has it. The library takes `size` and `version` as what its user was built
/// with, and gives fields that came later their defaults.
struct Config {
  static constexpr int kUnset = INT_MIN;
  static constexpr unsigned kMagic = 0xcafebeef;
  static constexpr unsigned kVersion = 22700;

  std::size_t size = sizeof(Config);
  unsigned magic = kMagic;
  unsigned version = kVersion;
  int blocking = kUnset;
  int cga_cluster_size = kUnset;
  int min_ctas = kUnset;
  int max_ctas = kUnset;
  const char* net_name = nullptr;
  int split_share = kUnset;
  int traffic_class = kUnset;
  const char* comm_name = nullptr;
  int collnet_enable = kUnset;
  int cta_policy = kUnset;
  int shrink_share = kUnset;
  int nvls_ctas = kUnset;
};
// No padding: the library would take it for the next field.
static_assert(offsetof(Config, blocking) == 16 && offsetof(Config, net_name) == 32 &&
              offsetof(Config, comm_name) == 48 && offsetof(Config, nvls_ctas) == 68 &&
              sizeof(Config) == 72);

}  // namespace smddp::nccl
