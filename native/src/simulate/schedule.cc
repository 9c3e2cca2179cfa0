#include "simulate/schedule.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace smddp {
namespace {

// A few gigabytes.
constexpr std::size_t kMostItems = 20'000'000;
constexpr std::size_t kMostSteps = 4'000'000;

bool is_same(const PlannedCall& one, const PlannedCall& other) {
  return one.call.call == other.call.call && one.call.algorithm == other.call.algorithm;
}

Followed follow(Plan plan) {
  std::vector<std::vector<std::uint32_t>> followers(plan.steps.size());
  for (std::uint32_t step = 0; step < plan.steps.size(); ++step) {
    for (const std::uint32_t earlier : plan.steps[step].after) followers[earlier].push_back(step);
  }
  return {std::move(plan), std::move(followers)};
}

class Builder {
 public:
  Builder(const std::vector<PlannedCall>& calls, const Placement& placement)
      : calls_(calls), placement_(placement), first_plans_(calls.size()) {
    schedule_.actors = calls.front().fold.actors();
  }

  Result<Schedule> build() && {
    for (std::size_t call = 0; call < calls_.size(); ++call) {
      ways_.clear();
      meetings_.clear();
      SMDDP_RETURN_IF_ERROR(prepare(call));
      for (std::size_t actor = 0; actor < schedule_.actors.size(); ++actor) add(call, actor);
    }
    for (const Channel& channel : schedule_.channels) {
      if (channel.sends.size() != channel.recvs.size())
        return Status{StatusCode::kInvalidArgument, "the plans' sends and receives do not fit"};
    }
    return std::move(schedule_);
  }

 private:
  /// Makes the plans of a call, unless an earlier one has the same.
  Status prepare(std::size_t call) {
    std::size_t like = 0;
    while (!is_same(calls_[like], calls_[call])) ++like;
    first_plans_[call] = like < call ? first_plans_[like] : schedule_.plans.size();
    for (std::size_t actor = 0; actor < schedule_.actors.size(); ++actor) {
      if (like == call) {
        schedule_.plans.push_back(follow(calls_[call].plans.of(schedule_.actors[actor])));
        steps_ += schedule_.plans.back().plan.steps.size();
      }
      items_ += schedule_.plans[first_plans_[call] + actor].plan.steps.size();
      if (steps_ > kMostSteps || items_ > kMostItems) return too_large();
    }
    return {};
  }

  static Status too_large() {
    return {StatusCode::kInvalidArgument,
            "these plans have more than " + std::to_string(kMostSteps) +
                " steps; take fewer hosts, or such that are alike with as many ranks on each"};
  }

  void add(std::size_t call, std::size_t actor) {
    const Followed& plan = schedule_.plans[first_plans_[call] + actor];
    const auto part = static_cast<std::uint32_t>(schedule_.parts.size());
    schedule_.parts.push_back({actor, call, schedule_.items.size(), plan.plan.steps.size(), &plan});
    std::size_t natives = 0;
    for (const Step& step : plan.plan.steps) {
      Item& item = schedule_.items.emplace_back();
      item.step = &step;
      item.part = part;
      item.waits = static_cast<std::uint32_t>(step.after.size()) + 1;
      const auto index = static_cast<std::uint32_t>(schedule_.items.size() - 1);
      if (step.kind == StepKind::kNative) join_meeting(index, natives++);
      if (step.peer >= 0) join_channel(index, calls_[call].fold);
    }
  }

  void join_meeting(std::uint32_t index, std::size_t number) {
    Item& item = schedule_.items[index];
    const Rank rank = schedule_.actors[schedule_.parts[item.part].actor];
    const auto place = static_cast<std::uint32_t>(schedule_.meetings.size());
    const auto [found, is_new] = meetings_.try_emplace({placement_.host_of(rank), number}, place);
    if (is_new) schedule_.meetings.emplace_back();
    item.place = found->second;
    ++schedule_.meetings[item.place].actors;
  }

  void join_channel(std::uint32_t index, const Fold& fold) {
    Item& item = schedule_.items[index];
    const Rank self = schedule_.actors[schedule_.parts[item.part].actor];
    const bool sends = item.step->kind == StepKind::kSend;
    const Rank peer = item.step->peer;
    const Fold::Way way = sends ? fold.way(self, peer) : fold.way(peer, self);
    const auto place = static_cast<std::uint32_t>(schedule_.channels.size());
    const auto [found, is_new] = ways_.try_emplace(way, place);
    if (is_new) schedule_.channels.push_back({.way = way});
    item.place = found->second;
    Channel& channel = schedule_.channels[item.place];
    (sends ? channel.sends : channel.recvs).push_back(index);
  }

  const std::vector<PlannedCall>& calls_;
  const Placement& placement_;
  std::vector<std::size_t> first_plans_;  ///< by call, of the first actor
  std::size_t steps_ = 0;
  std::size_t items_ = 0;
  std::map<Fold::Way, std::uint32_t> ways_;                        ///< of the current call
  std::map<std::pair<int, std::size_t>, std::uint32_t> meetings_;  ///< by host and number, also
  Schedule schedule_;
};

}  // namespace

Result<Schedule> make_schedule(const std::vector<PlannedCall>& calls, const Placement& placement) {
  return Builder(calls, placement).build();
}

}  // namespace smddp
