#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace smddp {

/// The one object of its kind that callers without a handle use; null when there is none.
template <class T>
class OfProcess {
 public:
  static std::shared_ptr<T> get() {
    const std::lock_guard lock{held().mutex};
    return held().object;
  }
  static void set(std::shared_ptr<T> object) {
    // The old one ends with its last user, and not under the lock.
    const std::lock_guard lock{held().mutex};
    held().object.swap(object);
  }

 private:
  struct Held {
    std::mutex mutex;
    std::shared_ptr<T> object;
  };

  // Never destroyed: threads of a framework may outlive static objects.
  static Held& held() {
    static auto& held = *new Held;
    return held;
  }
};

}  // namespace smddp
