#include "simulate/fluid.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace smddp {
namespace {

// Ends that differ by rounding only happen together, and so need one new set of rates.
constexpr double kRounding = 1e-9;
constexpr double kSameLevel = 1e-9;

}  // namespace

std::size_t Fluid::add_resource(double capacity, Contention contention) {
  resources_.push_back({.capacity = capacity, .contention = contention});
  return resources_.size() - 1;
}

std::size_t Fluid::add_kind(std::vector<Use> uses, double weight) {
  kinds_.push_back({.uses = std::move(uses), .weight = weight});
  return kinds_.size() - 1;
}

void Fluid::start(std::size_t index, double amount, Token token) {
  Kind& kind = kinds_[index];
  if (kind.activities.empty()) {
    kind.level = 0;
    active_.push_back(index);
  }
  kind.activities.push({kind.level + amount, started_++, token});
  stale_ = true;
}

double Fluid::remaining(const Kind& kind) const {
  return std::max(0.0, kind.activities.top().level - kind.level) / kind.rate;
}

double Fluid::next_end() {
  if (std::exchange(stale_, false)) share();
  double soonest = std::numeric_limits<double>::infinity();
  for (const std::size_t index : active_) soonest = std::min(soonest, remaining(kinds_[index]));
  return now_ + soonest;
}

void Fluid::advance(double time, std::vector<Token>& ended) {
  if (std::exchange(stale_, false)) share();
  const double passed = time - now_;
  const double rounding = kRounding * time;
  now_ = time;
  for (const std::size_t index : active_) {
    Kind& kind = kinds_[index];
    kind.level += kind.rate * passed;
    while (!kind.activities.empty() && remaining(kind) <= rounding) {
      ended.push_back(kind.activities.top().token);
      kind.activities.pop();
      stale_ = true;
    }
  }
  std::erase_if(active_, [&](std::size_t index) { return kinds_[index].activities.empty(); });
}

/// Progressive filling: all kinds grow alike until a resource is used up, which fixes those that
/// use it; the others grow on.
void Fluid::share() {
  open_all();
  for (std::size_t open = active_.size(); open > 0;) {
    const double level = tightest();
    for (const std::size_t index : active_) {
      Kind& kind = kinds_[index];
      if (!kind.open || !is_full(kind, level)) continue;
      close(kind, level);
      --open;
    }
  }
}

void Fluid::open_all() {
  for (const std::size_t index : touched_) resources_[index].activities = 0;
  touched_.clear();
  for (const std::size_t index : active_) {
    Kind& kind = kinds_[index];
    kind.open = true;
    for (const Use& use : kind.uses) {
      Resource& resource = resources_[use.resource];
      if (resource.activities == 0) {
        touched_.push_back(use.resource);
        resource.open = 0;
        resource.load = 0;
      }
      resource.activities += kind.activities.size();
      ++resource.open;
      resource.load += use.amount * kind.weight * static_cast<double>(kind.activities.size());
    }
  }
  for (const std::size_t index : touched_) {
    Resource& resource = resources_[index];
    const auto [penalty, copies] = resource.contention;
    const double others = static_cast<double>(resource.activities) * copies - 1;
    resource.free = resource.capacity / (1 + penalty * others);
  }
}

/// The equal share at which the next resource is used up.
double Fluid::tightest() const {
  double level = std::numeric_limits<double>::infinity();
  for (const std::size_t index : touched_) {
    const Resource& resource = resources_[index];
    if (resource.open > 0) level = std::min(level, resource.free / resource.load);
  }
  return level;
}

bool Fluid::is_full(const Kind& kind, double level) const {
  return std::any_of(kind.uses.begin(), kind.uses.end(), [&](const Use& use) {
    const Resource& resource = resources_[use.resource];
    return resource.free <= level * resource.load * (1 + kSameLevel);
  });
}

void Fluid::close(Kind& kind, double level) {
  kind.open = false;
  kind.rate = kind.weight * level;
  const auto count = static_cast<double>(kind.activities.size());
  for (const Use& use : kind.uses) {
    Resource& resource = resources_[use.resource];
    --resource.open;
    resource.free = std::max(0.0, resource.free - use.amount * kind.rate * count);
    resource.load -= use.amount * kind.weight * count;
  }
}

}  // namespace smddp
