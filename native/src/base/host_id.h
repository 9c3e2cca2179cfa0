#pragma once

#include <string>

#include "smddp/status.h"

namespace smddp {

/// Of the running kernel; empty when it does not tell.
std::string boot_id();

/// A text that is equal for two processes exactly when they can share memory and abstract sockets:
/// the machine's boot id and the network namespace; or `override_id` (SMDDP_HOST_ID) when not
/// empty. Host names lie about both.
Result<std::string> host_id(const std::string& override_id);

/// The host's name, for messages only.
std::string host_name();

}  // namespace smddp
