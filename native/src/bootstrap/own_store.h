#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "smddp/deadline.h"
#include "smddp/job_store.h"
#include "smddp/status.h"
#include "smddp/store.h"
#include "smddp/types.h"

namespace smddp {

/// The job's secret: the given one, else one made from the job id, which keeps
/// strays out but no attacker.
std::string job_secret_of(const JobPlace& place);

/// The store of a job that brings none: served by rank 0 over TCP when there is an address, else at
/// an abstract socket named by user and job; in memory for a world of one.
class OwnStore final : public Store {
 public:
  /// Rank 0 serves from here on; the others connect at their first call. kConfig says what to set
  /// when the ranks have no way to meet, or the port is taken.
  static Result<std::unique_ptr<OwnStore>> open(const JobPlace& place);
  ~OwnStore() override;  ///< leaves; rank 0 gives the others three seconds

  Status set(const std::string& key, const std::string& value, Deadline deadline) override;
  Result<std::string> get(const std::string& key, Deadline deadline) override;
  Result<std::int64_t> add(const std::string& key, std::int64_t delta, Deadline deadline) override;

  /// Leaves the store; at rank 0 serves the others until they have left or `grace` has passed. No
  /// other call may be running, and none may follow.
  void close(Deadline grace);

 private:
  struct Parts;
  explicit OwnStore(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace smddp
