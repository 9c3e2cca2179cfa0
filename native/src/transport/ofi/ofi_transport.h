#pragma once

#include <memory>

#include "transport/registry.h"
#include "transport/transport.h"

namespace smddp {

/// Messages over libfabric, beside a connection of transport tcp to each peer that authenticates
/// it, tells of its end and carries the notices (transport/ofi/message.h). A short send completes
/// when it is copied, a long one when the receiver has its bytes or the system takes them there.
/// Null in a build without libfabric's headers.
extern const MakeTransport kMakeOfiTransport;

}  // namespace smddp
