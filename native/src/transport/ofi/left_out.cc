#include "transport/ofi/ofi_transport.h"

namespace smddp {

// This file takes the place of the others where libfabric's headers are not installed.
const MakeTransport kMakeOfiTransport = nullptr;

}  // namespace smddp
