#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "smddp/communicator.h"
#include "smddp/config.h"
#include "smddp/keyed_communicator.h"
#include "smddp/runtime.h"

namespace smddp::test {

/// One way for the ranks of a test world to reach each other. A new transport joins all suites by
/// one line in `fabrics()`.
struct Fabric {
  std::string name;
  std::string transport;   ///< SMDDP_TRANSPORT
  bool two_hosts = false;  ///< the first two thirds of the ranks on one host, the rest on another
  std::string algorithm = {};       ///< SMDDP_ALGORITHM
  std::string order = "canonical";  ///< SMDDP_ORDER
  std::string partials = "native";  ///< SMDDP_PARTIALS
};

const std::vector<Fabric>& fabrics();

/// Settings with small chunks, so that small tensors already take many rounds, and a deadline for
/// every test.
Config test_config(const Fabric& fabric, Rank rank, int world);

/// What the ranks of a test world share. Each rank is a thread of this process.
class World {
 public:
  World(const Fabric& fabric, int size);

  int size() const { return size_; }
  /// This rank's member of the group of that name; throws when there is none to be had.
  std::unique_ptr<Communicator> join(Rank rank, const std::string& group = "world") const;
  std::unique_ptr<KeyedCommunicator> join_keyed(Rank rank) const;
  // What those are made of, for others that are made of it too.
  Runtime& runtime() const { return *runtime_; }
  CommunicatorOptions options(Rank rank, const std::string& group) const;
  Config config(Rank rank) const;
  /// Runs `body(rank)` on one thread per rank and rethrows the first failure.
  void run(const std::function<void(Rank)>& body) const;

 private:
  Fabric fabric_;
  int size_;
  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<Store> store_;
};

/// Runs `body(communicator)` as every rank of a world, each on a thread of its own of this process,
/// and rethrows the first failure. The communicators leave in order afterwards.
void run_world(const Fabric& fabric, int world, const std::function<void(Communicator&)>& body);

/// Waits for the outcome.
Status outcome_of(const Work& work);
/// Submits and waits; the outcome is the caller's.
Status outcome_of(Communicator& communicator, Request request);
/// Submits and waits; fails the calling rank's body unless the operation succeeds.
void run(Communicator& communicator, Request request);
/// Waits; fails the calling rank's body unless the operation succeeded.
void finish(const Work& work);

}  // namespace smddp::test
