#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "base/guarded_fd.h"
#include "base/handshake.h"
#include "bootstrap/key_values.h"
#include "bootstrap/store_protocol.h"

namespace smddp {

/// One client as the store's server sees it. Never blocks and never holds more than one
/// request of bounded size; nothing but the authentication is read from a stranger. Used
/// by the server's thread alone.
class StoreConnection {
 public:
  using Clock = std::chrono::steady_clock;

  StoreConnection(GuardedFd fd, const std::string& secret);

  int fd() const noexcept { return fd_.get(); }
  Clock::time_point opened_at() const noexcept { return opened_at_; }
  bool authenticated() const noexcept { return !handshake_.has_value(); }
  /// What to poll for.
  short events() const noexcept;

  /// Moves bytes in both directions. False: the connection is over, because it was
  /// closed or broke the rules.
  bool progress();
  /// The request that has arrived, once. Must be answered, now or later, with `answer`.
  std::optional<StoreRequest> take_request();
  void answer(StoreAnswer code, KeyValues::Value body);

  /// The key that a parked get waits for.
  const std::optional<std::string>& awaited_key() const noexcept { return awaited_key_; }
  void park(std::string key) { awaited_key_ = std::move(key); }

 private:
  bool flush();
  bool fill();
  std::size_t wanted_bytes() const noexcept;
  bool finish_handshake();
  bool parse_frame();

  GuardedFd fd_;
  Clock::time_point opened_at_ = Clock::now();
  std::optional<ServerHandshake> handshake_;  ///< until the client has proved itself
  std::string in_;                            ///< at most one answer of the handshake, or one frame
  std::string head_;                          ///< to be sent, followed by body_
  KeyValues::Value body_;
  std::size_t sent_ = 0;
  std::optional<StoreRequest> request_;
  bool busy_ = false;  ///< a request was taken and not answered yet
  std::optional<std::string> awaited_key_;
};

}  // namespace smddp
