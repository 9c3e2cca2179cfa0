#pragma once

#include <span>

#include "smddp/request.h"

#include "provider/nccl/library.h"

namespace smddp::nccl {

/// One rank of one communicator, where calls go to.
struct Target {
  const Library& library;
  Comm* comm;
  Rank rank;
  int world;
};

/// Whether NCCL can do it; else a kInvalidArgument that says what it lacks and what to do.
Status check_request(const Request& request, int version);

/// Makes NCCL's calls for operations that passed `check_request`; several calls are one group,
/// whose operations start together. Views and counts are as `Request` says. What NCCL has no call
/// for is made of its others: blocks of unequal sizes, all_to_all, gather and scatter.
ResultCode call_nccl(const Target& target, std::span<const Request> requests, Stream stream);

}  // namespace smddp::nccl
