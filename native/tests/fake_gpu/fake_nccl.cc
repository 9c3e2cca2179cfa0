// A pretended NCCL for machines without GPUs: the functions that smddp looks up in libnccl.so.2.
// It really moves and reduces, between processes of one machine, what lies in ordinary memory; and
// in stream order, as each operation is a host function of the (pretended) CUDA driver. It does not
// block longer than NCCL does with `blocking` 0.
//
// The environment, of which a communicator takes what was set when it was made:
//   FAKE_NCCL_VERSION        what ncclGetVersion tells; 23203 if unset
//   FAKE_NCCL_SLOW           1: what need not block is in progress for a while, and begins then
//   FAKE_NCCL_FAIL           the number, from 0, of the communicator's operation that fails instead
//                            of moving data; a group is one operation
//   FAKE_NCCL_ABORT_SPREADS  1: the others get kRemoteError when a rank aborts, as over a network;
//                            else they wait until they abort, as over NVLink

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "fake_nccl_comm.h"
#include "fake_nccl_exchange.h"
#include "fake_nccl_numbers.h"
#include "provider/nccl/abi.h"

namespace smddp::nccl {
namespace {

using fake::Call;
using fake::Kind;

struct Noted {
  Comm* comm;
  Stream stream;
  Call call;
};

/// What this thread has called since ncclGroupStart.
struct Group {
  int depth = 0;
  ResultCode refused = ResultCode::kSuccess;
  std::vector<Noted> calls;
};
thread_local Group group;

bool has_inputs(const Call& call, int rank) {
  switch (call.kind) {
    case Kind::kRecv:
      return true;
    case Kind::kBroadcast:
      return rank != call.peer || call.in != nullptr;
    default:
      return call.in != nullptr;
  }
}

bool has_outputs(const Call& call, int rank) {
  switch (call.kind) {
    case Kind::kSend:
      return true;
    case Kind::kReduce:
      return rank != call.peer || call.out != nullptr;
    default:
      return call.out != nullptr;
  }
}

ResultCode check(const Call& call, Comm* comm) {
  if (comm == nullptr) return ResultCode::kInvalidArgument;
  if (const ResultCode code = comm->refusal(); code != ResultCode::kSuccess) return code;
  const bool ok =
      fake::size_of(call.type) > 0 && call.op >= RedOp::kSum && call.op <= RedOp::kAverage &&
      call.peer >= 0 && call.peer < comm->ranks() &&
      (call.count == 0 || (has_inputs(call, comm->rank()) && has_outputs(call, comm->rank())));
  return ok ? ResultCode::kSuccess : ResultCode::kInvalidArgument;
}

/// Starts a call, or notes it if a group is open.
ResultCode submit(const Call& call, Comm* comm, Stream stream) {
  const ResultCode code = check(call, comm);
  if (code != ResultCode::kSuccess) {
    if (group.depth > 0) group.refused = code;
    return code;
  }
  if (call.count == 0) return ResultCode::kSuccess;
  if (group.depth == 0) return comm->launch({call}, {stream});
  group.calls.push_back({comm, stream, call});
  return ResultCode::kSuccess;
}

/// Starts those noted calls that belong to a communicator.
ResultCode launch(Comm* comm, const std::vector<Noted>& noted) {
  std::vector<Call> calls;
  std::vector<Stream> streams;
  for (const Noted& one : noted) {
    if (one.comm != comm) continue;
    calls.push_back(one.call);
    if (std::find(streams.begin(), streams.end(), one.stream) == streams.end())
      streams.push_back(one.stream);
  }
  return comm->launch(std::move(calls), streams);
}

ResultCode end_group() {
  if (group.depth == 0) return ResultCode::kInvalidUsage;
  if (--group.depth > 0) return ResultCode::kSuccess;
  const std::vector<Noted> noted = std::exchange(group.calls, {});
  const ResultCode refused = std::exchange(group.refused, ResultCode::kSuccess);
  if (refused != ResultCode::kSuccess) return refused;
  std::vector<Comm*> comms;
  ResultCode result = ResultCode::kSuccess;
  for (const Noted& one : noted) {
    if (std::find(comms.begin(), comms.end(), one.comm) != comms.end()) continue;
    comms.push_back(one.comm);
    const ResultCode code = launch(one.comm, noted);
    if (code != ResultCode::kSuccess && code != ResultCode::kInProgress) return code;
    if (code == ResultCode::kInProgress) result = code;
  }
  return result;
}

bool is_usable(const Config* config) {
  return config == nullptr ||
         (config->magic == Config::kMagic &&
          config->size >= offsetof(Config, blocking) + sizeof(config->blocking));
}

ResultCode begin(Comm** comm, int ranks, const UniqueId& id, int rank, const Config* config) {
  if (comm == nullptr || rank < 0 || rank >= ranks || !is_usable(config))
    return ResultCode::kInvalidArgument;
  const bool blocking = config == nullptr || config->blocking != 0;
  const auto made = std::make_shared<Comm>(id, ranks, rank, blocking);
  const ResultCode code = made->join();
  *comm = code == ResultCode::kSuccess || code == ResultCode::kInProgress ? made.get() : nullptr;
  return code;
}

const char* text_of(ResultCode code) {
  switch (code) {
    case ResultCode::kSuccess:
      return "no error";
    case ResultCode::kUnhandledCudaError:
      return "unhandled cuda error";
    case ResultCode::kSystemError:
      return "unhandled system error";
    case ResultCode::kInternalError:
      return "internal error";
    case ResultCode::kInvalidArgument:
      return "invalid argument";
    case ResultCode::kInvalidUsage:
      return "invalid usage";
    case ResultCode::kRemoteError:
      return "remote process exited or there was a network error";
    case ResultCode::kInProgress:
      return "NCCL operation in progress";
    case ResultCode::kTimeout:
      return "timeout";
  }
  return "unknown result code";
}

}  // namespace
}  // namespace smddp::nccl

using smddp::nccl::Comm;
using smddp::nccl::Config;
using smddp::nccl::DataType;
using smddp::nccl::RedOp;
using smddp::nccl::ResultCode;
using smddp::nccl::Stream;
using smddp::nccl::submit;
using smddp::nccl::UniqueId;
using smddp::nccl::fake::Kind;

#pragma GCC visibility push(default)
extern "C" {

ResultCode ncclGetVersion(int* version) {
  if (version == nullptr) return ResultCode::kInvalidArgument;
  *version = smddp::nccl::fake::number_in_environment("FAKE_NCCL_VERSION", 23203);
  return ResultCode::kSuccess;
}

ResultCode ncclGetUniqueId(UniqueId* id) {
  if (id == nullptr) return ResultCode::kInvalidArgument;
  std::random_device random;
  std::generate(id->bytes.begin(), id->bytes.end(), [&] { return static_cast<char>(random()); });
  return ResultCode::kSuccess;
}

const char* ncclGetErrorString(ResultCode code) { return smddp::nccl::text_of(code); }

const char* ncclGetLastError(Comm* comm) {
  if (comm == nullptr) return "";
  switch (comm->state()) {
    case ResultCode::kUnhandledCudaError:
      return "pretended NCCL: libcuda.so.1 takes no host function";
    case ResultCode::kSystemError:
      return "pretended NCCL: an operation failed because FAKE_NCCL_FAIL names it";
    case ResultCode::kRemoteError:
      return "pretended NCCL: another rank has aborted";
    default:
      return "";
  }
}

ResultCode ncclCommInitRankConfig(Comm** comm, int ranks, UniqueId id, int rank, Config* config) {
  return smddp::nccl::begin(comm, ranks, id, rank, config);
}

ResultCode ncclCommGetAsyncError(Comm* comm, ResultCode* code) {
  if (comm == nullptr || code == nullptr) return ResultCode::kInvalidArgument;
  *code = comm->state();
  return ResultCode::kSuccess;
}

ResultCode ncclCommFinalize(Comm* comm) {
  if (comm == nullptr) return ResultCode::kInvalidArgument;
  const ResultCode refused = comm->refusal();
  return refused == ResultCode::kSuccess ? comm->finalize() : refused;
}

ResultCode ncclCommDestroy(Comm* comm) {
  if (comm != nullptr) comm->destroy();
  return ResultCode::kSuccess;
}

ResultCode ncclCommAbort(Comm* comm) {
  if (comm != nullptr) comm->abort();
  return ResultCode::kSuccess;
}

ResultCode ncclGroupStart() {
  ++smddp::nccl::group.depth;
  return ResultCode::kSuccess;
}

ResultCode ncclGroupEnd() { return smddp::nccl::end_group(); }

ResultCode ncclAllReduce(const void* in, void* out, std::size_t count, DataType type, RedOp op,
                         Comm* comm, Stream stream) {
  return submit({Kind::kAllReduce, in, out, count, type, op}, comm, stream);
}

ResultCode ncclReduce(const void* in, void* out, std::size_t count, DataType type, RedOp op,
                      int root, Comm* comm, Stream stream) {
  return submit({Kind::kReduce, in, out, count, type, op, root}, comm, stream);
}

ResultCode ncclBroadcast(const void* in, void* out, std::size_t count, DataType type, int root,
                         Comm* comm, Stream stream) {
  return submit({Kind::kBroadcast, in, out, count, type, {}, root}, comm, stream);
}

ResultCode ncclReduceScatter(const void* in, void* out, std::size_t count, DataType type, RedOp op,
                             Comm* comm, Stream stream) {
  return submit({Kind::kReduceScatter, in, out, count, type, op}, comm, stream);
}

ResultCode ncclAllGather(const void* in, void* out, std::size_t count, DataType type, Comm* comm,
                         Stream stream) {
  return submit({Kind::kAllGather, in, out, count, type}, comm, stream);
}

ResultCode ncclSend(const void* in, std::size_t count, DataType type, int peer, Comm* comm,
                    Stream stream) {
  return submit({Kind::kSend, in, nullptr, count, type, {}, peer}, comm, stream);
}

ResultCode ncclRecv(void* out, std::size_t count, DataType type, int peer, Comm* comm,
                    Stream stream) {
  return submit({Kind::kRecv, nullptr, out, count, type, {}, peer}, comm, stream);
}

}  // extern "C"
#pragma GCC visibility pop
