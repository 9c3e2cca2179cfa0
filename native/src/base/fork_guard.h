#pragma once

#include <memory>

namespace smddp {

// What a forked child may keep: nothing. A child that holds the engine's sockets would hide the
// parent's death from its peers, so a pthread_atfork handler closes them in the child, and every
// later call there is one clear error.

/// Installs the handler once. While `active`, children made by fork() are marked.
void set_fork_guard(bool active);
/// True in a child forked while the guard was active.
bool in_forked_child() noexcept;
/// The descriptor is closed in forked children until it is released (before closing it in this
/// process).
void close_in_child(int fd) noexcept;
void keep_in_child(int fd) noexcept;

/// Owns an object that has threads or locks: a forked child, where its threads do not exist, leaks
/// it.
template <typename T>
std::shared_ptr<T> leak_in_child(T* object) {
  return std::shared_ptr<T>{object, [](T* held) {
                              if (!in_forked_child()) delete held;
                            }};
}

}  // namespace smddp
