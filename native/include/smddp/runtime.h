#pragma once

#include <memory>
#include <string>

#include "smddp/communicator.h"
#include "smddp/config.h"
#include "smddp/export.h"
#include "smddp/status.h"

namespace smddp {

class RuntimeImpl;

/// The engine of this process: one progress thread, one thread that runs callbacks (more while some
/// wait), and what communicators share. Reference-counted: it exists while somebody holds it.
class SMDDP_API Runtime {
 public:
  explicit Runtime(std::shared_ptr<RuntimeImpl> impl) : impl_(std::move(impl)) {}

  /// The process's runtime, started with `config` when there is none yet (else `config` is not
  /// looked at). kState in a forked child of a process that has one.
  static Result<std::shared_ptr<Runtime>> acquire(const Config& config);

  Result<std::unique_ptr<Communicator>> create_communicator(CommunicatorOptions options);
  /// The same with settings of its own: tests run several "hosts" in one process.
  Result<std::unique_ptr<Communicator>> create_communicator(CommunicatorOptions options,
                                                            const Config& config);

  /// Leaves all communicators of the process in order; called at interpreter exit. `why` as in
  /// Communicator::leave.
  static void leave_all(const std::string& why = {});

 private:
  std::shared_ptr<RuntimeImpl> impl_;
};

}  // namespace smddp
