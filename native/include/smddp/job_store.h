#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "smddp/export.h"
#include "smddp/status.h"
#include "smddp/store.h"
#include "smddp/types.h"

namespace smddp {

/// What a launcher tells a process about its job.
struct JobPlace {
  Rank rank = 0;
  int size = 1;
  int local_size = 1;       ///< ranks on this host; less than `size` means several hosts
  std::string master_addr;  ///< rank 0's host; may be empty when there is one host
  std::uint16_t port = 0;   ///< of the store at that host
  std::string job_id;       ///< what the launcher calls the job
  std::string job_secret;   ///< SMDDP_JOB_SECRET, may be empty
};

/// A store for jobs whose framework brings none: served by rank 0 over TCP when there is an
/// address, else at an abstract socket named by user and job; in memory for a world of one.
/// Destroyed on rank 0, it waits up to three seconds for the others to leave. kConfig says what to
/// set when the ranks have no way to meet.
SMDDP_API Result<std::shared_ptr<Store>> open_job_store(const JobPlace& place);

}  // namespace smddp
