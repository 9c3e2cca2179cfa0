#pragma once

#include <sys/types.h>

#include <memory>

#include "smddp/communicator.h"
#include "smddp/request.h"
#include "smddp/runtime.h"

namespace smddp::bench {

/// This process's place in a world of two processes, of which only rank 0 reports.
class World {
 public:
  /// Forks; both processes return, and have met. Before anything else of smddp is used.
  World();
  /// Rank 0 waits for rank 1 to end.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  bool reports() const { return rank_ == 0; }
  /// Runs an operation to its end; ends the process when it fails.
  void run(Request request);

 private:
  void join();

  pid_t child_;
  int rank_;
  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<Communicator> communicator_;
};

/// Made by main.
World& world();

}  // namespace smddp::bench
