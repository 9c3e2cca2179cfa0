#include "simulate/run.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "simulate/step_costs.h"

namespace smddp {

Run::Run(Schedule& schedule, Resources& resources, Fluid& fluid, Rules rules)
    : schedule_(schedule),
      fluid_(fluid),
      rules_(std::move(rules)),
      phases_(schedule.items.size(), Phase::kWaiting),
      remaining_(schedule.items.size()) {
  const Costs& costs = rules_.costs;
  const auto rate = [](double seconds_per_byte) {
    return seconds_per_byte > 0 ? 1 / seconds_per_byte : 0;
  };
  for (const Rank rank : schedule.actors) {
    threads_.push_back({.messages = resources.add_work_kind(rank, 0),
                        .reduces = resources.add_work_kind(rank, rate(costs.reduce)),
                        .natives = resources.add_work_kind(rank, rate(costs.native))});
  }
  for (const Rank rank : schedule.actors) buckets_.push_back(resources.bucket_of(rank));
  for (const Channel& channel : schedule.channels) {
    connections_.push_back({.kind = resources.message_kind(channel.way)});
  }
  const std::size_t actors = schedule.actors.size();
  for (std::size_t part = 0; part < schedule.parts.size(); ++part) {
    const PlanPart& its = schedule.parts[part];
    const bool has_earlier = its.call >= static_cast<std::size_t>(rules_.in_flight);
    part_waits_.push_back(has_earlier ? 2 : 1);
    clock_.set(rules_.calls[its.call].call.ready + rules_.late[part % actors],
               {Event::Kind::kData, static_cast<std::uint32_t>(part)});
  }
}

Status Run::go() {
  std::vector<Fluid::Token> ended;
  while (true) {
    const double time = std::min(clock_.next(), fluid_.next_end());
    if (std::isinf(time)) break;
    now_ = time;
    ended.clear();
    fluid_.advance(time, ended);
    for (const Fluid::Token item : ended) end_activity(item);
    handle_events();
    start_work();
  }
  if (remaining_ == 0) return {};
  return {StatusCode::kState, "the plans cannot go on: their ranks wait for each other"};
}

void Run::handle_events() {
  while (clock_.next() <= now_) {
    const Event event = clock_.take();
    switch (event.kind) {
      case Event::Kind::kData:
        release_part(event.index);
        break;
      case Event::Kind::kArrival:
        arrive(event.index);
        break;
      case Event::Kind::kAwake:
        take(event.index);
        break;
      case Event::Kind::kMeeting:
        work_natively(event.index);
        break;
    }
  }
}

/// After everything that happens at this time, so that its order does not matter.
void Run::start_work() {
  for (const std::size_t actor : waiting_) {
    Thread& thread = threads_[actor];
    if (thread.busy || thread.queue.empty()) continue;
    const Work next = thread.queue.top();
    thread.queue.pop();
    thread.busy = true;
    fluid_.start(next.kind, next.seconds, next.item);
  }
  waiting_.clear();
}

double Run::bytes(const Item& item) const {
  const PlanPart& part = schedule_.parts[item.part];
  const DType dtype = rules_.calls[part.call].call.call.dtype;
  return bytes_of(*item.step, {dtype, part.plan->plan.partials});
}

void Run::do_work(std::uint32_t index, std::size_t kind, double seconds) {
  thread_of(schedule_.items[index]).queue.push({index, kind, seconds});
  waiting_.push_back(actor_of(schedule_.items[index]));
}

void Run::release_part(std::uint32_t index) {
  if (--part_waits_[index] > 0) return;
  const PlanPart& part = schedule_.parts[index];
  const std::size_t steps = part.plan->plan.steps.size();
  for (std::size_t i = part.first; i < part.first + steps; ++i) {
    release(static_cast<std::uint32_t>(i));
  }
  if (steps == 0) end_part(index);
}

void Run::release(std::uint32_t index) {
  if (--schedule_.items[index].waits == 0) begin(index);
}

void Run::begin(std::uint32_t index) {
  Item& item = schedule_.items[index];
  item.begin = now_;
  switch (item.step->kind) {
    case StepKind::kSend:
      post_sends(item.place);
      break;
    case StepKind::kRecv:
      post_recvs(item.place);
      break;
    case StepKind::kNative:
      meet(index);
      break;
    case StepKind::kReduce:
    case StepKind::kCopy:
      phases_[index] = Phase::kWorking;
      do_work(index, thread_of(item).reduces, work_seconds(*item.step, bytes(item), rules_.costs));
      break;
  }
}

/// Messages to one peer are posted in the order of their steps.
void Run::post_sends(std::uint32_t channel) {
  const std::vector<std::uint32_t>& sends = schedule_.channels[channel].sends;
  Connection& connection = connections_[channel];
  while (connection.posted_sends < sends.size()) {
    const std::uint32_t index = sends[connection.posted_sends];
    Item& item = schedule_.items[index];
    if (item.waits > 0) return;
    ++connection.posted_sends;
    phases_[index] = Phase::kPosting;
    do_work(index, thread_of(item).messages, rules_.costs.message / 2);
  }
}

void Run::post_recvs(std::uint32_t channel) {
  const std::vector<std::uint32_t>& recvs = schedule_.channels[channel].recvs;
  Connection& connection = connections_[channel];
  while (connection.posted_recvs < recvs.size() &&
         schedule_.items[recvs[connection.posted_recvs]].waits == 0) {
    ++connection.posted_recvs;
  }
  serve(channel);
}

/// A receiver that has something to do is awake already.
void Run::arrive(std::uint32_t send) {
  const std::uint32_t channel = schedule_.items[send].place;
  const std::uint32_t recv = schedule_.channels[channel].recvs.front();
  const std::size_t actor = actor_of(schedule_.items[recv]);
  if (rules_.wake[actor] > 0 && !threads_[actor].busy) {
    clock_.set(now_ + rules_.wake[actor], {Event::Kind::kAwake, send});
  } else {
    take(send);
  }
}

void Run::take(std::uint32_t send) {
  const std::uint32_t channel = schedule_.items[send].place;
  ++connections_[channel].arrived;
  serve(channel);
}

/// Works on messages that are there and were asked for.
void Run::serve(std::uint32_t channel) {
  Connection& connection = connections_[channel];
  while (connection.served < std::min(connection.arrived, connection.posted_recvs)) {
    const std::uint32_t index = schedule_.channels[channel].recvs[connection.served++];
    phases_[index] = Phase::kWorking;
    do_work(index, thread_of(schedule_.items[index]).messages, rules_.costs.message / 2);
  }
}

/// A native step begins when all ranks of the host have come to it.
void Run::meet(std::uint32_t index) {
  Meeting& meeting = schedule_.meetings[schedule_.items[index].place];
  meeting.here.push_back(index);
  if (meeting.here.size() < meeting.actors) return;
  for (const std::uint32_t each : meeting.here) {
    // The last one to come has not waited.
    const double wake = each == index ? 0 : rules_.wake[actor_of(schedule_.items[each])];
    clock_.set(now_ + wake, {Event::Kind::kMeeting, each});
  }
}

void Run::work_natively(std::uint32_t index) {
  const Item& item = schedule_.items[index];
  phases_[index] = Phase::kWorking;
  do_work(index, thread_of(item).natives, work_seconds(*item.step, bytes(item), rules_.costs));
}

void Run::start_flow(Connection& connection) {
  const std::uint32_t index = connection.flows.front();
  const Item& item = schedule_.items[index];
  const double payload = bytes(item);
  const Costs& costs = rules_.costs;
  // Bytes of small messages cost more, as if there were more of them.
  const double dear = link_seconds_per_byte(payload, costs) / costs.link.back().seconds_per_byte;
  const double held = buckets_[actor_of(item)].begin(now_, payload * dear);
  fluid_.start(connection.kind, held, index);
}

void Run::end_activity(std::uint32_t index) {
  if (phases_[index] == Phase::kFlowing) {
    end_flow(index);
  } else {
    end_work(index);
  }
}

void Run::end_flow(std::uint32_t index) {
  Connection& connection = connections_[schedule_.items[index].place];
  connection.flows.pop_front();
  buckets_[actor_of(schedule_.items[index])].end(now_);
  if (!connection.flows.empty()) start_flow(connection);
  const Costs& costs = rules_.costs;
  clock_.set(now_ + std::max(0.0, costs.hop - costs.message), {Event::Kind::kArrival, index});
  end(index);
}

void Run::end_work(std::uint32_t index) {
  const Item& item = schedule_.items[index];
  thread_of(item).busy = false;
  waiting_.push_back(actor_of(item));
  if (phases_[index] == Phase::kPosting) {
    phases_[index] = Phase::kFlowing;
    Connection& connection = connections_[item.place];
    connection.flows.push_back(index);
    if (connection.flows.size() == 1) start_flow(connection);
  } else if (item.step->kind == StepKind::kNative) {
    Meeting& meeting = schedule_.meetings[item.place];
    if (++meeting.ended < meeting.actors) return;
    for (const std::uint32_t each : meeting.here) end(each);
  } else {
    end(index);
  }
}

void Run::end(std::uint32_t index) {
  Item& item = schedule_.items[index];
  item.end = now_;
  --remaining_;
  PlanPart& part = schedule_.parts[item.part];
  for (const std::uint32_t follower : part.plan->followers[index - part.first]) {
    release(static_cast<std::uint32_t>(part.first + follower));
  }
  if (--part.remaining == 0) end_part(item.part);
}

/// A later call of this actor may take its place.
void Run::end_part(std::uint32_t index) {
  const std::size_t later =
      index + static_cast<std::size_t>(rules_.in_flight) * schedule_.actors.size();
  if (later < schedule_.parts.size()) release_part(static_cast<std::uint32_t>(later));
}

}  // namespace smddp
