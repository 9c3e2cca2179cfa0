#include "simulate/resources.h"

#include <algorithm>
#include <utility>

namespace smddp {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

}  // namespace

Resources::Resources(const Parts& parts, Fluid& fluid) : parts_(parts), fluid_(fluid) {
  for (Rank rank = 0; rank < parts_.placement.world(); ++rank) {
    threads_.push_back(is_actor(rank) ? fluid_.add_resource(1) : kNone);
  }
  for (int host = 0; host < parts_.placement.hosts(); ++host) add_host(host);
}

void Resources::add_host(int host) {
  const SimulatedMachine& machine = parts_.machine;
  hosts_.emplace_back();
  add_rails(host);
  const double ranks = static_cast<double>(parts_.placement.ranks_on(host).size());
  const double processors = machine.processors > 0 ? machine.processors : ranks;
  if (!machine.one_machine) {
    hosts_.back().processors = fluid_.add_resource(processors * part_of_host(host));
  } else if (host > 0) {
    hosts_.back().processors = hosts_.front().processors;
  } else {
    const auto actors = static_cast<double>(parts_.fold.actors().size());
    hosts_.back().processors = fluid_.add_resource(
        (machine.processors > 0 ? machine.processors : parts_.placement.world()) * actors /
        parts_.placement.world());
  }
  const double memory = parts_.topology.hosts[at(host)].memory_gbytes_per_s * 1e9;
  if (memory > 0) hosts_.back().memory = fluid_.add_resource(memory * part_of_host(host));
}

void Resources::add_rails(int host) {
  const auto& rails = parts_.topology.hosts[at(host)].rails;
  const double unknown = 1 / parts_.costs.link.back().seconds_per_byte;
  for (std::size_t i = 0; i < std::max<std::size_t>(rails.size(), 1); ++i) {
    const bool is_known = i < rails.size() && rails[i].gbps > 0;
    const double rate = parts_.machine.efficiency * (is_known ? rails[i].gbps * 1e9 / 8 : unknown);
    const double part = part_of_rail(host, i);
    Rail& rail = hosts_.back().rails.emplace_back();
    rail.rate = rate;
    rail.out = fluid_.add_resource(rate * part);
    rail.in = fluid_.add_resource(rate * part, {parts_.machine.incast, 1 / part});
  }
}

Resources::Span Resources::rails_of(Rank rank) const {
  const int host = parts_.placement.host_of(rank);
  const std::size_t rails = std::max<std::size_t>(parts_.topology.hosts[at(host)].rails.size(), 1);
  if (!parts_.machine.own_rails) return {0, rails};
  const std::size_t ranks = parts_.placement.ranks_on(host).size();
  const auto local = at(parts_.placement.local_rank(rank));
  if (ranks >= rails) return {local * rails / ranks, 1};
  const std::size_t first = local * rails / ranks;
  return {first, (local + 1) * rails / ranks - first};
}

/// Of the ranks that use a rail, those that are simulated.
double Resources::part_of_rail(int host, std::size_t rail) const {
  double users = 0;
  double actors = 0;
  for (const Rank rank : parts_.placement.ranks_on(host)) {
    const Span span = rails_of(rank);
    if (rail < span.first || rail >= span.first + span.count) continue;
    ++users;
    if (is_actor(rank)) ++actors;
  }
  return actors > 0 ? actors / users : 1;
}

double Resources::part_of_host(int host) const {
  const std::vector<Rank>& ranks = parts_.placement.ranks_on(host);
  const auto actors =
      std::count_if(ranks.begin(), ranks.end(), [&](Rank rank) { return is_actor(rank); });
  return actors > 0 ? static_cast<double>(actors) / static_cast<double>(ranks.size()) : 1;
}

const Resources::Host& Resources::host_of(Rank rank) const {
  return hosts_[at(parts_.placement.host_of(rank))];
}

void Resources::add_processor_use(std::vector<Use>& uses, Rank actor, double amount) const {
  if (amount == 0) return;
  uses.push_back({threads_[at(actor)], amount});
  uses.push_back({host_of(actor).processors, amount});
}

/// Each rail carries a part of the message as large as its part of the speed, which is returned.
double Resources::add_rail_use(std::vector<Use>& uses, Rank rank,
                               std::size_t Rail::* direction) const {
  const Span span = rails_of(rank);
  const auto first = host_of(rank).rails.begin() + static_cast<std::ptrdiff_t>(span.first);
  const auto last = first + static_cast<std::ptrdiff_t>(span.count);
  double all = 0;
  for (auto rail = first; rail != last; ++rail) all += rail->rate;
  for (auto rail = first; rail != last; ++rail) {
    uses.push_back({(*rail).*direction, rail->rate / all});
  }
  return all;
}

std::size_t Resources::message_kind(const Fold::Way& way) {
  const Rank receiver = parts_.fold.actor_of(way.to);
  const auto [found, is_new] = messages_.try_emplace({way.from, receiver}, 0);
  if (!is_new) return found->second;
  std::vector<Use> uses;
  const double out = add_rail_use(uses, way.from, &Rail::out);
  const double in = add_rail_use(uses, receiver, &Rail::in);
  add_processor_use(uses, way.from, parts_.machine.send_byte);
  add_processor_use(uses, receiver, parts_.machine.receive_byte);
  found->second = fluid_.add_kind(std::move(uses), std::min(out, in));
  return found->second;
}

TokenBucket Resources::bucket_of(Rank actor) const {
  const int host = parts_.placement.host_of(actor);
  const Span span = rails_of(actor);
  double bytes = 0;
  double rate = 0;
  for (std::size_t rail = span.first; rail < span.first + span.count; ++rail) {
    const double part = part_of_rail(host, rail);
    bytes += parts_.machine.burst * part;
    rate += host_of(actor).rails[rail].rate * part;
  }
  return {bytes, rate};
}

std::size_t Resources::add_work_kind(Rank actor, double memory_rate) {
  std::vector<Use> uses;
  add_processor_use(uses, actor, 1);
  if (host_of(actor).memory != kNone && memory_rate > 0)
    uses.push_back({host_of(actor).memory, memory_rate});
  return fluid_.add_kind(std::move(uses), 1);
}

}  // namespace smddp
