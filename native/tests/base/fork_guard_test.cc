#include "base/fork_guard.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include <doctest/doctest.h>

#include "base/unique_fd.h"

namespace smddp {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

/// Bits set by the child: 1 = it knows that it is one, 2 = the guarded descriptor is open, 4 = the
/// other one is.
int observed_by_child(int guarded, int other) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit((in_forked_child() ? 1 : 0) | (is_open(guarded) ? 2 : 0) | (is_open(other) ? 4 : 0));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

TEST_CASE("children lose guarded descriptors while the guard is active, and no others") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const UniqueFd guarded{ends[0]};
  const UniqueFd other{ends[1]};
  close_in_child(guarded.get());
  CHECK(observed_by_child(guarded.get(), other.get()) == (2 | 4));
  set_fork_guard(true);
  CHECK(observed_by_child(guarded.get(), other.get()) == (1 | 4));
  keep_in_child(guarded.get());
  CHECK(observed_by_child(guarded.get(), other.get()) == (1 | 2 | 4));
  set_fork_guard(false);
  CHECK(observed_by_child(guarded.get(), other.get()) == (2 | 4));
  CHECK_FALSE(in_forked_child());
}

}  // namespace
}  // namespace smddp
