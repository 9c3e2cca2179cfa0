#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "smddp/config.h"
#include "smddp/export.h"
#include "smddp/request.h"
#include "smddp/store.h"
#include "smddp/topology.h"
#include "smddp/work.h"

namespace smddp {

class CommunicatorImpl;
class RuntimeImpl;

/// What the engine knows of a group's members while somebody waits.
struct MembersView {
  std::function<std::string(Rank)> name_of;  ///< "rank 3 (hostB, pid 123)"
  /// Those that have not started the operation that runs; none when none runs.
  std::function<std::vector<Rank>()> late;
};

/// Somebody who waits for the members of a group outside of its operations.
class Dependent {
 public:
  virtual ~Dependent() = default;
  /// While it waits, called now and then on the engine thread: ok, or why the group has to fail.
  virtual Status look(const MembersView& members) = 0;
  /// The group has failed. Called once, on a completion thread.
  virtual void fail(const Status& failure) = 0;
};

/// Another process's registered memory (RegisteredBlock), as this one reaches it.
struct ReachedMemory {
  std::span<std::byte> bytes{};   ///< empty: it does not
  std::shared_ptr<void> owner{};  ///< keeps it mapped
};

struct CommunicatorOptions {
  Rank rank = 0;
  int world = 1;
  std::string name =
      "world";  ///< equal on all members and unique among groups that share the store
  std::shared_ptr<Store> store;  ///< null is legal for a world of one
  /// What messages call the members (their numbers in the whole job); empty: their numbers here.
  std::vector<Rank> labels;
  std::weak_ptr<Dependent> dependent;  ///< may be empty
};

/// A group of ranks that run collectives together, in the same order on all of them.
///
/// Members meet at the first operation. Thread-safe. After a failure it is terminal: every pending
/// and later operation ends with that failure. Destruction leaves in order (see `leave`).
class SMDDP_API Communicator {
 public:
  Communicator(std::shared_ptr<RuntimeImpl> runtime, std::shared_ptr<CommunicatorImpl> impl);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  Rank rank() const;
  int world() const;
  const std::string& name() const;

  /// Meets the other members in the background as soon as all have made their communicator, instead
  /// of at the first operation. Members that exchange messages while others submit nothing need it.
  void meet();
  /// Meets the other members now: an operation that is over when
  /// all have met.
  Work connect();
  /// Starts an operation. Wrong arguments end it at once, before other ranks are involved.
  Work submit(Request request);
  /// Ok, or why every further operation will be refused.
  Status refusal() const;
  /// Makes the engine look again: something has happened that it is not told of otherwise.
  void wake();
  /// Runs a task on a completion thread.
  void later(std::function<void()> task);
  /// Whether the dependent waits. Then this rank looks for failures of the group although it has no
  /// operation pending, and `leave` gives it the grace. Takes no lock.
  void set_waiting(bool waiting);
  /// Finishes what was submitted (at most `grace`), tells the others that this rank is leaving, and
  /// closes. Operations that others submitted and this rank did not fail there, naming this rank.
  /// Idempotent. `why`: one line for their errors, such as "ValueError: bad batch", where a failure
  /// is the reason; of more than 200 bytes the rest is left out.
  void leave(std::chrono::milliseconds grace, const std::string& why = {});

  /// "shm", "tcp", "shm+tcp", "inproc", or "none" for a world of one; "unconnected" before the
  /// members met.
  std::string transport() const;
  int hosts() const;  ///< 0 before the members met
  /// What the members run on, equal on all of them; no hosts before the members met.
  Topology topology() const;
  /// That of another member, once the members have met; of this rank itself, and of those on other
  /// hosts, there is none.
  ReachedMemory memory_of(Rank rank) const;

 private:
  std::shared_ptr<RuntimeImpl> runtime_;  ///< outlives impl_
  std::shared_ptr<CommunicatorImpl> impl_;
};

}  // namespace smddp
