#include "plan/validation/symbolic_run.h"

#include <algorithm>
#include <string>
#include <utility>

#include "plan/traits.h"
#include "plan/validation/order.h"

namespace smddp {
namespace {

Status invalid(const std::string& what) { return {StatusCode::kInvalidArgument, what}; }

std::uint64_t bit(Rank rank) { return std::uint64_t{1} << rank; }

/// The error of a step, with where it happened.
Status at_step(Rank rank, std::size_t index, const Step& step, const Status& status) {
  return {status.code(), "rank " + std::to_string(rank) + ", step " + std::to_string(index) + " (" +
                             to_string(step) + "): " + status.message()};
}

/// Steps that go one after the other. A deque would allocate for each pair that never talks.
class StepQueue {
 public:
  void push(std::size_t step) { steps_.push_back(step); }
  bool empty() const { return next_ == steps_.size(); }
  std::size_t front() const { return steps_[next_]; }
  void pop() { ++next_; }

 private:
  std::vector<std::size_t> steps_;
  std::size_t next_ = 0;
};

/// One rank's plan while it runs.
struct RankRun {
  RankRun(const Plan& its_plan, SymbolicMemory its_memory, int world)
      : plan(its_plan),
        memory(std::move(its_memory)),
        done(its_plan.steps.size(), false),
        entered(its_plan.steps.size(), 0),
        sends(static_cast<std::size_t>(world)),
        recvs(static_cast<std::size_t>(world)) {}

  const Plan& plan;
  SymbolicMemory memory;
  std::vector<bool> done;
  /// By step: ranks that have surely entered the collective once it is complete.
  std::vector<std::uint64_t> entered;
  std::size_t remaining = 0;
  std::vector<StepQueue> sends;  ///< by peer, in step order
  std::vector<StepQueue> recvs;
  StepQueue natives;
  std::vector<std::size_t> locals;  ///< reduce and copy steps that have not run
};

class SymbolicRun {
 public:
  SymbolicRun(const std::vector<Plan>& plans, const std::vector<CollectiveSpec>& specs,
              const Placement& placement, bool in_place)
      : plans_(plans), specs_(specs), placement_(placement), in_place_(in_place) {}

  Result<Outcome> run() {
    ranks_.reserve(plans_.size());
    for (Rank rank = 0; rank < placement_.world(); ++rank) SMDDP_RETURN_IF_ERROR(load(rank));
    bool moved = true;
    while (moved) {
      moved = false;
      for (Rank rank = 0; rank < placement_.world(); ++rank) {
        SMDDP_RETURN_IF_ERROR(run_locals(rank, moved));
        for (Rank peer = 0; peer < placement_.world(); ++peer) {
          SMDDP_RETURN_IF_ERROR(transfer(rank, peer, moved));
        }
      }
      for (int host = 0; host < placement_.hosts(); ++host) {
        SMDDP_RETURN_IF_ERROR(meet(host, moved));
      }
    }
    SMDDP_RETURN_IF_ERROR(check_finished());
    return finish();
  }

 private:
  RankRun& of(Rank rank) { return ranks_[static_cast<std::size_t>(rank)]; }
  const Step& step_of(Rank rank, std::size_t index) { return of(rank).plan.steps[index]; }
  DType dtype_of(Rank rank, const Range& range) {
    return of(rank).memory.buffers().dtype_of(range);
  }

  /// Checks the rank's plan for what can be seen without running it, and queues its steps.
  Status load(Rank rank) {
    const Plan& plan = plans_[static_cast<std::size_t>(rank)];
    const CollectiveSpec& spec = specs_[static_cast<std::size_t>(rank)];
    if (plan.partial_count > 0 && plan.partials != partials_of(spec))
      return invalid("rank " + std::to_string(rank) + ": partial sums are to be " +
                     std::string{name_of(partials_of(spec))});
    const Buffers buffers(spec, rank, in_place_, plan);
    ranks_.emplace_back(plan, SymbolicMemory(buffers, rank, expressions_), placement_.world());
    const auto local_ranks = placement_.ranks_on(placement_.host_of(rank)).size();
    std::vector<Accesses> accesses;
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      const Step& step = plan.steps[i];
      Result<Accesses> access =
          accesses_of(step, buffers, placement_.local_rank(rank), static_cast<int>(local_ranks));
      if (!access.ok()) return at_step(rank, i, step, access.status());
      accesses.push_back(std::move(access).value());
      if (Status queued = queue(rank, i); !queued.ok()) return at_step(rank, i, step, queued);
    }
    const Status order = check_order(plan, accesses);
    if (order.ok()) return {};
    return {order.code(), "rank " + std::to_string(rank) + ": " + order.message()};
  }

  Status queue(Rank rank, std::size_t index) {
    RankRun& run = of(rank);
    const Step& step = step_of(rank, index);
    ++run.remaining;
    switch (step.kind) {
      case StepKind::kSend:
      case StepKind::kRecv: {
        if (step.peer < 0 || step.peer >= placement_.world() ||
            placement_.host_of(step.peer) == placement_.host_of(rank)) {
          return invalid("peer is not a rank of another host");
        }
        auto& queues = step.kind == StepKind::kSend ? run.sends : run.recvs;
        queues[static_cast<std::size_t>(step.peer)].push(index);
        return {};
      }
      case StepKind::kReduce:
        run.locals.push_back(index);
        return check_reduction(rank, step.reduction);
      case StepKind::kCopy:
        run.locals.push_back(index);
        return {};
      case StepKind::kNative:
        run.natives.push(index);
        return is_reducing(step.native.collective) ? check_reduction(rank, step.native.reduction)
                                                   : Status{};
    }
    return {};
  }

  /// Divisors other than the world's size, or of something that is no average, are wrong wherever
  /// they stand.
  Status check_reduction(Rank rank, const Reduction& reduction) const {
    const ReduceOp asked = specs_[static_cast<std::size_t>(rank)].op;
    const bool average = asked == ReduceOp::kAverage;
    const bool op_fits = reduction.op == (average ? ReduceOp::kSum : asked);
    const bool divisor_fits =
        reduction.divisor == 1 || (average && reduction.divisor == placement_.world());
    if (op_fits && divisor_fits) return {};
    return invalid("does not combine with the operation that was asked for");
  }

  bool is_ready(Rank rank, std::size_t index) {
    const std::vector<bool>& done = of(rank).done;
    const std::vector<std::uint32_t>& after = step_of(rank, index).after;
    return std::all_of(after.begin(), after.end(), [&](std::uint32_t id) { return done[id]; });
  }

  /// Ranks that have surely entered when this step starts.
  std::uint64_t known_at(Rank rank, std::size_t index) {
    std::uint64_t known = bit(rank);
    for (const std::uint32_t id : step_of(rank, index).after) known |= of(rank).entered[id];
    return known;
  }

  void complete(Rank rank, std::size_t index, std::uint64_t known) {
    RankRun& run = of(rank);
    run.done[index] = true;
    run.entered[index] = known;
    --run.remaining;
  }

  Status run_locals(Rank rank, bool& moved) {
    std::vector<std::size_t>& locals = of(rank).locals;
    // They are independent of each other unless `after` says so, so a later one may be ready first.
    for (auto next = locals.begin(); next != locals.end();) {
      if (!is_ready(rank, *next)) {
        ++next;
        continue;
      }
      const Step& step = step_of(rank, *next);
      if (Status ran = run_local(rank, step); !ran.ok()) return at_step(rank, *next, step, ran);
      complete(rank, *next, known_at(rank, *next));
      next = locals.erase(next);
      moved = true;
    }
    return {};
  }

  Status run_local(Rank rank, const Step& step) {
    std::vector<std::vector<Cell>> sources;
    for (const Range& source : step.sources) {
      Result<std::vector<Cell>> cells = of(rank).memory.read(source);
      if (!cells.ok()) return cells.status();
      sources.push_back(std::move(cells).value());
    }
    if (step.kind == StepKind::kCopy) {
      of(rank).memory.write(step.target, sources[0]);
      return {};
    }
    Result<std::vector<Cell>> result =
        combine(expressions_, sources, step.reduction, dtype_of(rank, step.target));
    if (!result.ok()) return result.status();
    of(rank).memory.write(step.target, result.value());
    return {};
  }

  /// Moves the next message from one rank to another while both sides are ready for it.
  Status transfer(Rank from, Rank to, bool& moved) {
    StepQueue& sends = of(from).sends[static_cast<std::size_t>(to)];
    StepQueue& recvs = of(to).recvs[static_cast<std::size_t>(from)];
    while (!sends.empty() && !recvs.empty()) {
      const std::size_t send = sends.front();
      const std::size_t recv = recvs.front();
      if (!is_ready(from, send) || !is_ready(to, recv)) return {};
      const Range& source = step_of(from, send).sources[0];
      const Range& target = step_of(to, recv).target;
      Result<std::vector<Cell>> cells = of(from).memory.read(source);
      if (!cells.ok()) return at_step(from, send, step_of(from, send), cells.status());
      if (source.count != target.count) {
        return at_step(
            to, recv, step_of(to, recv),
            invalid("the message that arrives has " + std::to_string(source.count) + " elements"));
      }
      if (const DType sent = dtype_of(from, source); sent != dtype_of(to, target)) {
        return at_step(to, recv, step_of(to, recv),
                       invalid("the message that arrives holds " + std::string{name_of(sent)}));
      }
      of(to).memory.write(target, cells.value());
      const std::uint64_t known = known_at(from, send);
      complete(from, send, known);
      complete(to, recv, known | known_at(to, recv));
      sends.pop();
      recvs.pop();
      moved = true;
    }
    return {};
  }

  /// Runs the next native step of a host when all its ranks have come to it.
  Status meet(int host, bool& moved) {
    const std::vector<Rank>& ranks = placement_.ranks_on(host);
    std::vector<NativeParty> parties;
    std::uint64_t known = 0;
    for (const Rank rank : ranks) {
      RankRun& run = of(rank);
      if (run.natives.empty() || !is_ready(rank, run.natives.front())) return {};
      const std::size_t index = run.natives.front();
      parties.push_back({&step_of(rank, index).native, &run.memory});
      known |= known_at(rank, index);
    }
    const std::size_t first = of(ranks[0]).natives.front();
    if (Status ran = run_native(expressions_, parties); !ran.ok()) {
      return at_step(ranks[0], first, step_of(ranks[0], first), ran);
    }
    const bool is_barrier = parties[0].step->collective == Collective::kBarrier;
    for (const Rank rank : ranks) {
      const std::size_t index = of(rank).natives.front();
      complete(rank, index, is_barrier ? known : known_at(rank, index));
      of(rank).natives.pop();
    }
    moved = true;
    return {};
  }

  Status check_finished() {
    for (Rank rank = 0; rank < placement_.world(); ++rank) {
      const RankRun& run = of(rank);
      if (run.remaining == 0) continue;
      const auto stuck = std::find(run.done.begin(), run.done.end(), false) - run.done.begin();
      const auto index = static_cast<std::size_t>(stuck);
      return at_step(rank, index, step_of(rank, index),
                     invalid("deadlock: this step never completes"));
    }
    return {};
  }

  Result<Outcome> finish() {
    Outcome outcome;
    for (Rank rank = 0; rank < placement_.world(); ++rank) {
      const RankRun& run = of(rank);
      Result<std::vector<Cell>> out =
          run.memory.read({Space::kOut, 0, run.memory.buffers().out_count()});
      if (!out.ok()) {
        return Status(out.status().code(),
                      "result of rank " + std::to_string(rank) + ": " + out.status().message());
      }
      outcome.out.push_back(std::move(out).value());
      std::uint64_t entered = bit(rank);
      for (const std::uint64_t known : run.entered) entered |= known;
      outcome.entered.push_back(entered);
    }
    outcome.expressions = std::move(expressions_);
    return outcome;
  }

  const std::vector<Plan>& plans_;
  const std::vector<CollectiveSpec>& specs_;
  const Placement& placement_;
  bool in_place_;
  ExpressionTable expressions_;
  std::vector<RankRun> ranks_;
};

}  // namespace

Result<Outcome> run_symbolically(const std::vector<Plan>& plans,
                                 const std::vector<CollectiveSpec>& specs,
                                 const Placement& placement, bool in_place) {
  return SymbolicRun(plans, specs, placement, in_place).run();
}

}  // namespace smddp
