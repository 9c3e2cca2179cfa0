#pragma once

#include <cstddef>

#include "smddp/request.h"
#include "smddp/status.h"

#include "base/signature.h"
#include "plan/spec.h"

namespace smddp {

/// Whether it is one side of a message, not a collective.
bool is_message(const Request& request);
/// Whether rank `self` of `world` may submit this request; kInvalidArgument says what is wrong with
/// it.
Status check_request(const Request& request, Rank self, int world);
/// Fills in what may be left out: equal counts, the root's input of a broadcast, operations that
/// mean another.
void complete_request(Request& request, Rank self, int world);
/// Elements that rank `self` of `world` has to bring to a collective, and that it gets. Of a
/// broadcast it need not bring any, as the root's may lie in the output.
std::size_t in_count(const Request& request, Rank self, int world);
std::size_t out_count(const Request& request, Rank self, int world);
/// What the planner must know. The request is complete.
CollectiveSpec to_spec(const Request& request);
/// Whether `spec` is that of the request, which is complete: to_spec without its copies.
bool is_for(const CollectiveSpec& spec, const Request& request);
/// What must be equal on all ranks. The request is complete.
Signature to_signature(const Request& request, std::uint64_t sequence);

}  // namespace smddp
