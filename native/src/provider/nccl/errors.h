#pragma once

#include <string>

#include "smddp/status.h"

#include "provider/nccl/library.h"

namespace smddp::nccl {

/// What NCCL says, as a failure for people: what was done, what went wrong, NCCL's last message
/// (which may be about something else), and what helps. `comm` may be null. kPeerLost for errors of
/// other ranks, kTimeout; kSystem for the rest.
Status to_status(const Library& library, ResultCode code, Comm* comm, const std::string& doing);

}  // namespace smddp::nccl
