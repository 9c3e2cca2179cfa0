#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <vector>

namespace smddp {

/// Events in the order of their times; of equal times in the order in which they were set.
template <typename Event>
class Clock {
 public:
  void set(double time, Event event) { events_.push({time, set_++, event}); }
  /// Infinite when nothing is set.
  double next() const {
    return events_.empty() ? std::numeric_limits<double>::infinity() : events_.top().time;
  }
  Event take() {
    const Event event = events_.top().event;
    events_.pop();
    return event;
  }

 private:
  struct Entry {
    double time;
    std::uint64_t number;
    Event event;
    bool operator>(const Entry& other) const {
      return time != other.time ? time > other.time : number > other.number;
    }
  };
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> events_;
  std::uint64_t set_ = 0;
};

}  // namespace smddp
