#pragma once

#include <string>
#include <vector>

#include "smddp/export.h"

namespace smddp {

/// The transports that this build has besides shared memory, best first.
SMDDP_API std::vector<std::string> transport_names();

}  // namespace smddp
