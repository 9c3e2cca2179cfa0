#include "provider/nccl/fake_nccl.h"

#include <map>
#include <utility>

#include "smddp/types.h"

namespace smddp::nccl::test {
namespace {

FakeNccl* current = nullptr;
int version_now = 0;

std::string name_of(DataType type) {
  static const std::map<DataType, std::string> names{
      {DataType::kInt8, "int8"},       {DataType::kUint8, "uint8"},
      {DataType::kInt32, "int32"},     {DataType::kUint32, "uint32"},
      {DataType::kInt64, "int64"},     {DataType::kUint64, "uint64"},
      {DataType::kFloat16, "float16"}, {DataType::kFloat32, "float32"},
      {DataType::kFloat64, "float64"}, {DataType::kBFloat16, "bfloat16"},
      {DataType::kFloat8E4m3, "e4m3"}, {DataType::kFloat8E5m2, "e5m2"}};
  return names.at(type);
}

std::string name_of(RedOp op) {
  static const std::map<RedOp, std::string> names{{RedOp::kSum, "sum"},
                                                  {RedOp::kProduct, "product"},
                                                  {RedOp::kMax, "max"},
                                                  {RedOp::kMin, "min"},
                                                  {RedOp::kAverage, "average"}};
  return names.at(op);
}

std::string amount(std::size_t count, DataType type) {
  return " " + std::to_string(count) + " " + name_of(type);
}

std::string places(const void* in, const void* out) {
  return " " + current->place(in) + " " + current->place(out);
}

/// Shown where a call goes to another communicator or stream than the test's.
std::string elsewhere(const Comm* comm, Stream stream) {
  return comm == fake_comm() && stream == fake_stream() ? "" : " elsewhere";
}

ResultCode get_version(int* version) {
  *version = version_now;
  return ResultCode::kSuccess;
}
ResultCode get_unique_id(UniqueId* id) {
  id->bytes[127] = 'x';
  return current->note("get_unique_id");
}
const char* get_error_string(ResultCode code) {
  return code == ResultCode::kRemoteError ? "remote process exited" : "some error";
}
const char* get_last_error(Comm* /*comm*/) { return current->last_error.c_str(); }

std::string setting(const std::string& name, int value) {
  return value == Config::kUnset ? "" : name + std::to_string(value);
}
ResultCode comm_init(Comm** comm, int ranks, UniqueId /*id*/, int rank, Config* config) {
  *comm = fake_comm();
  return current->note(
      "join " + std::to_string(rank) + " of " + std::to_string(ranks) + " as " + config->comm_name +
      (config->blocking == 0 ? "" : ", blocking") + setting(", least ctas ", config->min_ctas) +
      setting(", most ctas ", config->max_ctas) + setting(", cta policy ", config->cta_policy) +
      setting(", nvls ctas ", config->nvls_ctas));
}
ResultCode comm_get_async_error(Comm* /*comm*/, ResultCode* code) {
  *code = ResultCode::kSuccess;
  if (current->states.empty()) return ResultCode::kSuccess;
  *code = current->states.front();
  current->states.pop_front();
  return ResultCode::kSuccess;
}
ResultCode comm_finalize(Comm* /*comm*/) { return current->note("finalize"); }
ResultCode comm_destroy(Comm* comm) {
  return current->note(comm == fake_comm() ? "destroy" : "destroy nothing");
}
ResultCode comm_abort(Comm* comm) {
  return current->note(comm == fake_comm() ? "abort" : "abort nothing");
}
ResultCode group_start() { return current->note("group_start"); }
ResultCode group_end() { return current->note("group_end"); }

ResultCode all_reduce(const void* in, void* out, std::size_t count, DataType type, RedOp op,
                      Comm* comm, Stream stream) {
  return current->note("all_reduce" + amount(count, type) + " " + name_of(op) + places(in, out) +
                       elsewhere(comm, stream));
}
ResultCode reduce(const void* in, void* out, std::size_t count, DataType type, RedOp op, int root,
                  Comm* comm, Stream stream) {
  return current->note("reduce" + amount(count, type) + " " + name_of(op) + " to " +
                       std::to_string(root) + places(in, out) + elsewhere(comm, stream));
}
ResultCode broadcast(const void* in, void* out, std::size_t count, DataType type, int root,
                     Comm* comm, Stream stream) {
  return current->note("broadcast" + amount(count, type) + " from " + std::to_string(root) +
                       places(in, out) + elsewhere(comm, stream));
}
ResultCode reduce_scatter(const void* in, void* out, std::size_t count, DataType type, RedOp op,
                          Comm* comm, Stream stream) {
  return current->note("reduce_scatter" + amount(count, type) + " " + name_of(op) +
                       places(in, out) + elsewhere(comm, stream));
}
ResultCode all_gather(const void* in, void* out, std::size_t count, DataType type, Comm* comm,
                      Stream stream) {
  return current->note("all_gather" + amount(count, type) + places(in, out) +
                       elsewhere(comm, stream));
}
ResultCode send(const void* in, std::size_t count, DataType type, int peer, Comm* comm,
                Stream stream) {
  return current->note("send" + amount(count, type) + " to " + std::to_string(peer) + " " +
                       current->place(in) + elsewhere(comm, stream));
}
ResultCode recv(void* out, std::size_t count, DataType type, int peer, Comm* comm, Stream stream) {
  return current->note("recv" + amount(count, type) + " from " + std::to_string(peer) + " " +
                       current->place(out) + elsewhere(comm, stream));
}

template <typename Function>
void* address(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

FakeNccl::FakeNccl() { current = this; }
FakeNccl::~FakeNccl() { current = nullptr; }

Library FakeNccl::library(int version) const {
  version_now = version;
  return {bind_table(fake_symbol, "the test").value(), version, "libnccl.so.2"};
}

std::vector<std::string> FakeNccl::taken() { return std::exchange(lines_, {}); }

ResultCode FakeNccl::note(const std::string& line) {
  lines_.push_back(line);
  if (answers.empty()) return ResultCode::kSuccess;
  const ResultCode answer = answers.front();
  answers.pop_front();
  return answer;
}

std::string FakeNccl::place(const void* address) const {
  const auto* const byte = static_cast<const std::byte*>(address);
  if (byte == nullptr) return "null";
  if (byte >= in.data() && byte < in.data() + kBytes)
    return "in+" + std::to_string(byte - in.data());
  return "out+" + std::to_string(byte - out.data());
}

Comm* fake_comm() {
  static int object = 0;
  return reinterpret_cast<Comm*>(&object);
}

Stream fake_stream() {
  static int object = 0;
  return reinterpret_cast<Stream>(&object);
}

void* fake_symbol(const char* name) {
  static const std::map<std::string, void*> symbols{
      {"ncclGetVersion", address(get_version)},
      {"ncclGetUniqueId", address(get_unique_id)},
      {"ncclGetErrorString", address(get_error_string)},
      {"ncclGetLastError", address(get_last_error)},
      {"ncclCommInitRankConfig", address(comm_init)},
      {"ncclCommGetAsyncError", address(comm_get_async_error)},
      {"ncclCommFinalize", address(comm_finalize)},
      {"ncclCommDestroy", address(comm_destroy)},
      {"ncclCommAbort", address(comm_abort)},
      {"ncclGroupStart", address(group_start)},
      {"ncclGroupEnd", address(group_end)},
      {"ncclAllReduce", address(all_reduce)},
      {"ncclReduce", address(reduce)},
      {"ncclBroadcast", address(broadcast)},
      {"ncclReduceScatter", address(reduce_scatter)},
      {"ncclAllGather", address(all_gather)},
      {"ncclSend", address(send)},
      {"ncclRecv", address(recv)}};
  const auto found = symbols.find(name);
  return found == symbols.end() ? nullptr : found->second;
}

}  // namespace smddp::nccl::test
