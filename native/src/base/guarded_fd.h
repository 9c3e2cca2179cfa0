#pragma once

#include <utility>

#include "base/fork_guard.h"
#include "base/unique_fd.h"

namespace smddp {

/// Owns a descriptor that forked children must not keep: while a child holds a socket, peers do not
/// see its owner die. In such a child the descriptor is closed already, and its number may belong
/// to something else.
class GuardedFd {
 public:
  GuardedFd() noexcept = default;
  explicit GuardedFd(UniqueFd fd) noexcept : fd_(std::move(fd)) { close_in_child(fd_.get()); }
  GuardedFd(GuardedFd&& other) noexcept = default;
  GuardedFd& operator=(GuardedFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  GuardedFd(const GuardedFd&) = delete;
  GuardedFd& operator=(const GuardedFd&) = delete;
  ~GuardedFd() { reset(); }

  int get() const noexcept { return fd_.get(); }
  bool valid() const noexcept { return fd_.valid(); }

  void reset() noexcept {
    if (in_forked_child()) {
      fd_.release();
    } else if (fd_.valid()) {
      keep_in_child(fd_.get());
      fd_.reset();
    }
  }

 private:
  UniqueFd fd_;
};

}  // namespace smddp
