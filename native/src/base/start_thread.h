#pragma once

#include <functional>
#include <system_error>
#include <thread>
#include <utility>

namespace smddp {

/// Runs the task in a thread that nobody waits for. Whether there could be one.
inline bool start_thread(std::function<void()> task) {
  try {
    std::thread{std::move(task)}.detach();
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

}  // namespace smddp
