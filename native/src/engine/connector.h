#pragma once

#include <memory>

#include "smddp/communicator.h"
#include "smddp/config.h"
#include "smddp/deadline.h"

#include "engine/group.h"

namespace smddp {

class RuntimeImpl;

/// Meets the other members: exchanges who is where through the store, shares a memory segment with
/// the ranks of this host, and connects to those of other hosts. Blocks; runs on a thread of its
/// own. kTimeout names the missing ranks.
Result<std::unique_ptr<Group>> connect_group(RuntimeImpl& runtime,
                                             const CommunicatorOptions& options,
                                             const Config& config, Deadline deadline);

/// The group of a world of one; needs nobody.
std::unique_ptr<Group> make_lonely_group(RuntimeImpl& runtime, const Config& config);

}  // namespace smddp
