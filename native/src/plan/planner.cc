#include "plan/planner.h"

#include <algorithm>

#include "plan/algorithms/one_host.h"
#include "plan/algorithms/suits.h"
#include "plan/traits.h"

namespace smddp {
namespace {

std::string names_for(Collective collective) {
  std::string names;
  for (const Algorithm* algorithm : algorithms()) {
    if (algorithm->collective != collective) continue;
    names += (names.empty() ? "" : ", ") + std::string{algorithm->name};
  }
  return names;
}

Status wrong(const std::string& item, const std::string& problem) {
  return {StatusCode::kConfig, "SMDDP_ALGORITHM: '" + item + "' " + problem};
}

Status add_wanted(const std::string& item, Policy& policy) {
  const std::size_t sign = item.find('=');
  if (sign == std::string::npos)
    return wrong(item, "is not of the form collective=algorithm, as in all_reduce=ring");
  const std::string collective = item.substr(0, sign);
  for (int i = 0; i < kCollectiveCount; ++i) {
    const auto candidate = static_cast<Collective>(i);
    if (name_of(candidate) != collective) continue;
    const Algorithm* algorithm = find_algorithm(candidate, item.substr(sign + 1));
    if (algorithm == nullptr)
      return wrong(item, "names no algorithm; choose one of: " + names_for(candidate));
    policy.wanted[candidate] = algorithm;
    return {};
  }
  return wrong(item, "names no collective, such as all_reduce or broadcast");
}

/// What it takes for the bits of a result to depend on the placement alone.
SumOrder needed_order(const CollectiveSpec& spec) {
  if (!is_reducing(spec.collective) || !is_floating(spec.dtype) || !adds(spec.op))
    return SumOrder::kOther;
  // What is rounded at the nodes of the tree comes out otherwise than what is rounded at its root.
  return rounds_when_stored(spec.op, partials_of(spec)) ? SumOrder::kAtOnce : SumOrder::kNodeByNode;
}

/// The spec that plans are made for.
CollectiveSpec with_partials(CollectiveSpec spec, const Policy& policy) {
  spec.partials = policy.partials;
  return spec;
}

bool keeps_order(const Algorithm& algorithm, const CollectiveSpec& spec, const Policy& policy) {
  return policy.any_order || algorithm.order >= needed_order(spec);
}

bool is_faster(const Candidate& a, const Candidate& b) { return a.seconds < b.seconds; }

}  // namespace

Result<Policy> parse_policy(const PolicyText& text) {
  const auto& [order, partials, wanted] = text;
  Policy policy;
  if (order != "canonical" && order != "any")
    return Status{StatusCode::kConfig, "SMDDP_ORDER=" + order + " is none of canonical, any"};
  policy.any_order = order == "any";
  if (partials != "native" && partials != "fp32")
    return Status{StatusCode::kConfig, "SMDDP_PARTIALS=" + partials + " is none of native, fp32"};
  policy.partials = partials == "fp32" ? Partials::kFloat32 : Partials::kNative;
  for (std::size_t first = 0; first < wanted.size();) {
    const std::size_t comma = std::min(wanted.find(',', first), wanted.size());
    SMDDP_RETURN_IF_ERROR(add_wanted(wanted.substr(first, comma - first), policy));
    first = comma + 1;
  }
  return policy;
}

std::string why_excluded(const Algorithm& algorithm, const CollectiveSpec& spec,
                         const Placement& placement, const Policy& policy) {
  if (!algorithm.suits(spec, placement)) return "needs " + std::string{what_suits(algorithm)};
  if (keeps_order(algorithm, with_partials(spec, policy), policy)) return {};
  const std::string sums = "order of sums: ";
  if (algorithm.order == SumOrder::kOther)
    return sums + "not the canonical one; SMDDP_ORDER=any allows it";
  return sums + "rounds " + std::string{name_of(spec.dtype)} +
         " at every host; SMDDP_PARTIALS=fp32 or SMDDP_ORDER=any allows it";
}

std::vector<Candidate> candidates(const CollectiveSpec& asked, const Placement& placement,
                                  const Policy& policy) {
  const CollectiveSpec spec = with_partials(asked, policy);
  std::vector<Candidate> all;
  for (const Algorithm* algorithm : algorithms()) {
    if (algorithm->collective != spec.collective || !algorithm->suits(spec, placement)) continue;
    if (!keeps_order(*algorithm, spec, policy)) continue;
    const Candidate candidate{
        algorithm, seconds(algorithm->demand(spec, placement), spec.dtype, policy.costs)};
    // Behind its equals: of them the one listed first is chosen, the direct schedule before all.
    all.insert(std::upper_bound(all.begin(), all.end(), candidate, is_faster), candidate);
  }
  const auto wanted = policy.wanted.find(spec.collective);
  if (wanted == policy.wanted.end()) return all;
  const auto chosen = std::find_if(all.begin(), all.end(), [&](const Candidate& candidate) {
    return candidate.algorithm == wanted->second;
  });
  if (chosen != all.end()) std::rotate(all.begin(), chosen, chosen + 1);
  return all;
}

Plan make_plan(const CollectiveSpec& spec, const Placement& placement, const Policy& policy,
               Rank self) {
  if (placement.world() == 1) return copy_plan(spec);
  if (placement.hosts() == 1) return native_plan(spec, placement.world(), self);
  const Algorithm& chosen = *candidates(spec, placement, policy).front().algorithm;
  return chosen.plan(with_partials(spec, policy), Layout(placement, self));
}

}  // namespace smddp
