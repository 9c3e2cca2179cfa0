#include "world.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "smddp/job_store.h"

namespace smddp::bench {
namespace {

void check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "native_bench: %s\n", status.message().c_str());
  std::_Exit(1);
}

}  // namespace

World::World() : child_(::fork()), rank_(child_ == 0 ? 1 : 0) {
  if (child_ < 0) check(errno_status("fork"));
  join();
}

World::~World() {
  communicator_.reset();
  if (rank_ == 0) ::waitpid(child_, nullptr, 0);
}

void World::join() {
  runtime_ = std::move(Runtime::acquire(Config{})).value();
  const pid_t first = rank_ == 0 ? ::getpid() : ::getppid();
  const JobPlace place{
      .rank = rank_, .size = 2, .local_size = 2, .job_id = "native_bench " + std::to_string(first)};
  Result<std::shared_ptr<Store>> store = open_job_store(place);
  check(store.status());
  communicator_ = std::move(runtime_->create_communicator(CommunicatorOptions{
                                .rank = rank_, .world = 2, .store = store.value()}))
                      .value();
  run(Request{});  // a barrier: both have met
}

void World::run(Request request) {
  check(communicator_->submit(std::move(request)).wait(Deadline::never()));
}

}  // namespace smddp::bench
