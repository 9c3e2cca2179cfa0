#pragma once

#include <cstddef>
#include <span>

namespace smddp {

/// Hears of registered memory whose pages are about to be given back: what a network card has
/// pinned there must not be used again.
class ReleaseListener {
 public:
  virtual ~ReleaseListener() = default;
  /// In the thread that releases; must not release memory or change the listeners.
  virtual void on_release(std::span<const std::byte> memory) noexcept = 0;
};

// Thread-safe. The listener hears nothing more once `remove_release_listener` has returned; in a
// forked child nobody hears anything.
void add_release_listener(ReleaseListener& listener);
void remove_release_listener(ReleaseListener& listener) noexcept;
void tell_released(std::span<const std::byte> memory) noexcept;

}  // namespace smddp
