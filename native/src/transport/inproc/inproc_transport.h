#pragma once

#include <memory>

#include "transport/registry.h"
#include "transport/transport.h"

namespace smddp {

/// Ranks that are threads of one process. The reference implementation: it never buffers data, so a
/// plan that runs here does not depend on the buffers of any wire.
std::unique_ptr<Transport> make_inproc_transport(const TransportContext& context);

}  // namespace smddp
