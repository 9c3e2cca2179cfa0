#include "plan/algorithms/suits.h"

#include <bit>

namespace smddp {

bool suits_all(const CollectiveSpec&, const Placement&) { return true; }

bool suits_three_hosts(const CollectiveSpec&, const Placement& placement) {
  return placement.hosts() >= 3;
}

bool suits_four_hosts(const CollectiveSpec&, const Placement& placement) {
  return placement.hosts() >= 4;
}

bool suits_even_hosts(const CollectiveSpec&, const Placement& placement) {
  return placement.ranks_on_smallest_host() * placement.hosts() == placement.world();
}

bool suits_powers_of_two(const CollectiveSpec&, const Placement& placement) {
  return std::has_single_bit(static_cast<unsigned>(placement.hosts()));
}

bool suits_even_powers_of_two(const CollectiveSpec& spec, const Placement& placement) {
  return suits_even_hosts(spec, placement) && suits_powers_of_two(spec, placement);
}

std::string_view what_suits(const Algorithm& algorithm) {
  if (algorithm.suits == suits_three_hosts) return "at least 3 hosts";
  if (algorithm.suits == suits_four_hosts) return "at least 4 hosts";
  if (algorithm.suits == suits_even_hosts) return "as many ranks on each host";
  if (algorithm.suits == suits_powers_of_two) return "a power of two of hosts";
  if (algorithm.suits == suits_even_powers_of_two)
    return "a power of two of hosts with as many ranks on each";
  return "any hosts";
}

}  // namespace smddp
