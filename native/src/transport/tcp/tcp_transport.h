#pragma once

#include <memory>

#include "transport/registry.h"
#include "transport/transport.h"

namespace smddp {

/// One non-blocking TCP socket per peer, or several over as many rails. A send completes when the
/// system has taken its bytes. Progress has to be asked for at least once a second while something
/// is posted, or a vanished host is noticed late.
std::unique_ptr<Transport> make_tcp_transport(const TransportContext& context);

}  // namespace smddp
