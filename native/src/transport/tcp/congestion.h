#pragma once

#include <string>

#include "smddp/status.h"

namespace smddp {

/// The congestion control that `wanted` (SMDDP_TCP_CONGESTION) means for streams between hosts: the
/// system's name of one, or empty for that which sockets have anyway. "auto" is cubic where that is
/// bbr, and empty elsewhere.
///
/// bbr sends at a rate that it has measured before. Ranks send in turns, and together, so what was
/// free then says nothing about now: streams that meet at a host get unequal parts of its line, and
/// one that begins again begins slowly.
///
/// kConfig, with the names there are, when this process cannot have it.
Result<std::string> choose_congestion(const std::string& wanted);

/// Of a socket; false when the system refuses. Does nothing for an empty name.
bool set_congestion(int fd, const std::string& name) noexcept;

/// Empty when the system does not tell.
std::string congestion_of(int fd);

}  // namespace smddp
