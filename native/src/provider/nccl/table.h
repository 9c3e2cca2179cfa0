#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "smddp/status.h"

#include "provider/nccl/abi.h"

namespace smddp::nccl {

/// NCCL's functions as found in one library, or as a test makes them.
struct Table {
  ResultCode (*get_version)(int* version) = nullptr;
  ResultCode (*get_unique_id)(UniqueId* id) = nullptr;
  const char* (*get_error_string)(ResultCode code) = nullptr;
  const char* (*get_last_error)(Comm* comm) = nullptr;

  ResultCode (*comm_init_rank_config)(Comm** comm, int ranks, UniqueId id, int rank,
                                      Config* config) = nullptr;
  ResultCode (*comm_get_async_error)(Comm* comm, ResultCode* code) = nullptr;
  ResultCode (*comm_finalize)(Comm* comm) = nullptr;
  ResultCode (*comm_destroy)(Comm* comm) = nullptr;
  ResultCode (*comm_abort)(Comm* comm) = nullptr;

  ResultCode (*group_start)() = nullptr;
  ResultCode (*group_end)() = nullptr;
  ResultCode (*all_reduce)(const void* in, void* out, std::size_t count, DataType type, RedOp op,
                           Comm* comm, Stream stream) = nullptr;
  ResultCode (*reduce)(const void* in, void* out, std::size_t count, DataType type, RedOp op,
                       int root, Comm* comm, Stream stream) = nullptr;
  ResultCode (*broadcast)(const void* in, void* out, std::size_t count, DataType type, int root,
                          Comm* comm, Stream stream) = nullptr;
  ResultCode (*reduce_scatter)(const void* in, void* out, std::size_t out_count, DataType type,
                               RedOp op, Comm* comm, Stream stream) = nullptr;
  ResultCode (*all_gather)(const void* in, void* out, std::size_t in_count, DataType type,
                           Comm* comm, Stream stream) = nullptr;
  ResultCode (*send)(const void* in, std::size_t count, DataType type, int peer, Comm* comm,
                     Stream stream) = nullptr;
  ResultCode (*recv)(void* out, std::size_t count, DataType type, int peer, Comm* comm,
                     Stream stream) = nullptr;
};

/// The address of a function by its name, or null; dlsym of one library.
using SymbolFinder = std::function<void*(const char* name)>;

/// The oldest that will do: the first that takes all fields of `Config`, and whose work in the
/// background does not belong to the thread that began it.
inline constexpr int kOldestVersion = 22700;

/// Finds all functions. kConfig: one is missing, or the library is too old; `where` is its name for
/// people.
Result<Table> bind_table(const SymbolFinder& find, const std::string& where);

/// "2.27.5" for 22705, as ncclGetVersion tells it.
std::string version_text(int version);

}  // namespace smddp::nccl
