#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "smddp/deadline.h"
#include "smddp/status.h"
#include "smddp/types.h"

#include "transport/inproc/lane.h"
#include "transport/missing_ranks.h"

namespace smddp {

/// Wakes the thread that drives a rank, until that rank is gone. Thread-safe.
class Bell {
 public:
  explicit Bell(std::function<void()> wake) : wake_(std::move(wake)) {}
  void ring();
  void silence();  ///< when this returns nobody is inside `wake`, and nobody will be

 private:
  std::mutex mutex_;
  std::function<void()> wake_;
};

/// What two connected ranks share. Side 0 is the lower rank; `lanes[s]` carries what side s sends.
struct Link {
  std::array<Lane, 2> lanes;
  std::array<std::shared_ptr<Bell>, 2> bells;  ///< both set: both ranks have come
};

/// Where the ranks of one process find each other. One per process; thread-safe.
class Switchboard {
 public:
  static Switchboard& instance();

  /// A new address, unlike any other in any process.
  std::string open();
  void close(const std::string& address);

  struct Call {
    Rank rank = -1;  ///< whom
    std::string address;
    std::shared_ptr<Link> link;  ///< result

    bool is_connected() const { return link && link->bells[0] && link->bells[1]; }
  };
  struct Caller {
    Rank rank = -1;
    const std::vector<Rank>& labels;  ///< what messages call the ranks
    std::string address;
    std::string credentials;  ///< ranks meet only when theirs are equal
    std::shared_ptr<Bell> bell;
  };
  /// Waits until everybody called has called back. kTimeout names the others, kPeerLost one that
  /// cannot come.
  Status connect(const Caller& caller, std::vector<Call>& calls, Deadline deadline);

 private:
  Status join(const Caller& caller, Call& call);
  /// Takes back the calls that nobody has answered, and says which.
  std::vector<MissingRank> withdraw(const Caller& caller, const std::vector<Call>& calls);

  std::mutex mutex_;
  std::condition_variable joined_;
  std::set<std::string> open_;
  std::map<std::string, std::shared_ptr<Link>>
      waiting_;  ///< links that one of the two ranks has joined
};

}  // namespace smddp
