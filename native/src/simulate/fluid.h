#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <vector>

namespace smddp {

/// So much of a resource is used up by each unit of an activity.
struct Use {
  std::size_t resource;
  double amount;
};

/// Activities that share resources, in virtual time. Rates are max-min fair: none can become
/// faster without one that is not faster becoming slower (Bertsekas and Gallager, "Data Networks",
/// progressive filling). Activities of one kind use the same and so have the same rate, which makes
/// the work depend on the number of kinds, not of activities.
class Fluid {
 public:
  using Token = std::uint32_t;

  /// How a resource suffers from many: with n activities on it, of which each stands for `copies`,
  /// its capacity is 1 + penalty * (n * copies - 1) times smaller.
  struct Contention {
    double penalty = 0;
    double copies = 1;
  };
  std::size_t add_resource(double capacity, Contention contention = {0, 1});
  /// `uses` is not empty; `weight` is the units that count as an equal share.
  std::size_t add_kind(std::vector<Use> uses, double weight);

  void start(std::size_t kind, double amount, Token token);
  /// When the next activity ends; infinite when there is none.
  double next_end();
  /// Goes on to `time`, at most next_end(), and adds those that end there to `ended`.
  void advance(double time, std::vector<Token>& ended);

 private:
  struct Activity {
    double level;  ///< of its kind, at which it ends
    std::uint64_t number;
    Token token;
    bool operator>(const Activity& other) const {
      return level != other.level ? level > other.level : number > other.number;
    }
  };
  struct Kind {
    std::vector<Use> uses;
    double weight;
    double level = 0;  ///< units that each of its activities has done since the kind was idle
    double rate = 0;
    bool open = false;  ///< has no rate yet, while rates are found
    std::priority_queue<Activity, std::vector<Activity>, std::greater<>> activities{};
  };
  struct Resource {
    double capacity;
    Contention contention;
    // While rates are found:
    std::size_t activities = 0;
    std::size_t open = 0;  ///< kinds that use it and have no rate yet
    double free = 0;
    double load = 0;  ///< of the open kinds, at an equal share of one
  };

  double remaining(const Kind& kind) const;
  void share();
  void open_all();
  double tightest() const;
  bool is_full(const Kind& kind, double level) const;
  void close(Kind& kind, double level);

  std::vector<Resource> resources_;
  std::vector<Kind> kinds_;
  std::vector<std::size_t> active_;   ///< kinds with activities
  std::vector<std::size_t> touched_;  ///< resources that they use
  double now_ = 0;
  std::uint64_t started_ = 0;
  bool stale_ = false;  ///< rates
};

}  // namespace smddp
