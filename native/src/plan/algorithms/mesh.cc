#include "plan/algorithms/mesh.h"

#include <utility>

namespace smddp {

Mesh::Mesh(const Placement& placement, Rank self)
    : placement_(placement),
      self_(self),
      host_(placement.host_of(self)),
      local_(placement.local_rank(self)),
      lanes_(placement.ranks_on_smallest_host()) {}

int Mesh::ranks_on(int host) const { return static_cast<int>(placement_.ranks_on(host).size()); }

Rank Mesh::rank_at(int host, int local) const {
  return placement_.ranks_on(host)[static_cast<std::size_t>(local)];
}

std::vector<int> Mesh::send_order() const {
  std::vector<int> order;
  for (int distance = 1; distance < hosts(); ++distance)
    order.push_back((host_ + distance) % hosts());
  return order;
}

std::vector<int> Mesh::recv_order() const {
  const std::vector<int> order = send_order();
  return {order.rbegin(), order.rend()};
}

std::vector<Part> lane_parts(const Mesh& mesh, std::size_t count) {
  std::vector<Part> parts(static_cast<std::size_t>(mesh.ranks_here()));
  for (int lane = 0; lane < mesh.lanes(); ++lane) {
    parts[static_cast<std::size_t>(lane)] = share_of(count, mesh.lanes(), lane);
  }
  return parts;
}

Ready reduce_into_lanes(PlanBuilder& plan, const Mesh& mesh, std::size_t count, ReduceOp op) {
  const Range in{Space::kIn, 0, count};
  if (mesh.alone()) return {in, {}};
  NativeStep step;
  step.collective = Collective::kReduceScatter;
  step.in = in;
  step.in_parts = lane_parts(mesh, count);
  step.out = plan.scratch(step.in_parts[static_cast<std::size_t>(mesh.local())].count);
  step.reduction = {op, 1};
  const Range out = step.out;
  return {out, {plan.native(std::move(step))}};
}

void spread_lanes(PlanBuilder& plan, const Mesh& mesh, std::size_t count, const Steps& after) {
  if (mesh.alone()) return;
  NativeStep step;
  step.collective = Collective::kAllGather;
  step.out = {Space::kOut, 0, count};
  step.out_parts = lane_parts(mesh, count);
  step.in = slice(step.out, step.out_parts[static_cast<std::size_t>(mesh.local())]);
  plan.native(std::move(step), after);
}

void greet_hosts(PlanBuilder& plan, const Mesh& mesh) {
  if (mesh.local() != 0) return;
  for (const int host : mesh.send_order()) plan.send(mesh.rank_at(host, 0), {});
  for (const int host : mesh.recv_order()) plan.recv(mesh.rank_at(host, 0), {});
}

void meet_neighbours(PlanBuilder& plan, const Mesh& mesh) {
  if (mesh.alone()) return;
  NativeStep meet;
  meet.collective = Collective::kBarrier;
  plan.native(std::move(meet));
}

std::vector<Rank> ranks_elsewhere(const Mesh& mesh) {
  std::vector<Rank> ranks;
  for (const int host : mesh.send_order()) {
    for (int local = 0; local < mesh.ranks_on(host); ++local)
      ranks.push_back(mesh.rank_at(host, local));
  }
  return ranks;
}

std::vector<Part> blocks_of_neighbours(const Mesh& mesh, const std::vector<Part>& blocks) {
  std::vector<Part> parts;
  for (const Rank rank : mesh.neighbours()) parts.push_back(blocks[static_cast<std::size_t>(rank)]);
  return parts;
}

int turns_for(const Mesh& mesh, int ranks) {
  return (ranks + mesh.ranks_here() - 1) / mesh.ranks_here();
}

}  // namespace smddp
