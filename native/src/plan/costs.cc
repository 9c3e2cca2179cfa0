#include "plan/costs.h"

namespace smddp {
namespace {

double rate_for(double bytes, const std::vector<LinkRate>& link) {
  for (const LinkRate& rate : link) {
    if (bytes <= static_cast<double>(rate.bytes)) return rate.seconds_per_byte;
  }
  return link.back().seconds_per_byte;
}

}  // namespace

double seconds(const Demand& demand, DType dtype, const Costs& costs) {
  const auto width = static_cast<double>(size_of(dtype));
  return demand.hops * costs.hop + demand.messages * costs.message +
         demand.wire * width * rate_for(demand.piece * width, costs.link) +
         demand.reduced * width * costs.reduce + demand.native_steps * costs.native_step +
         demand.native * width * costs.native;
}

}  // namespace smddp
