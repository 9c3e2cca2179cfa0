#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "smddp/status.h"
#include "smddp/topology.h"
#include "smddp/types.h"

#include "base/guarded_fd.h"
#include "base/handshake.h"

namespace smddp {

/// Who this rank is while it gets connected. The texts are borrowed.
struct Identity {
  Rank self = -1;
  const std::vector<Rank>& labels;  ///< what messages call the ranks
  const std::string& secret;
  const std::string& context;
};

/// Where to call a peer, and from where.
struct Route {
  std::string host;  ///< IPv4 text
  std::uint16_t port = 0;
  int rail = kNoRail;
  Interface from{};  ///< the local rail; no name: as the system routes

  static constexpr int kNoRail = -1;
};

/// A connection that is being made: both sides say who they are and prove it. Never blocks:
/// `advance` is called whenever the socket may have something new.
///
///   connecting side                 accepting side
///   hello: magic, rail, ranks  -->
///                              <--  challenge
///   answer                     -->
///                              <--  proof          (base/handshake.h; bound to the context and
///                              both ranks)
class Greeting {
 public:
  enum class State : unsigned char { kPending, kDone, kFailed };

  virtual ~Greeting() = default;
  virtual State advance() = 0;
  /// The events of poll(2) that call for `advance`.
  virtual short events() const = 0;
  /// True when the other side has spoken, so it is one of ours and there.
  virtual bool is_answered() const = 0;

  int descriptor() const noexcept { return socket_.get(); }
  Rank peer() const noexcept { return peer_; }  ///< -1 until known
  int rail() const noexcept { return rail_; }
  const Status& failure() const noexcept { return failure_; }
  GuardedFd take_socket() noexcept { return std::move(socket_); }

 protected:
  Greeting(const Identity& identity, GuardedFd socket, Rank peer, int rail)
      : identity_(identity), socket_(std::move(socket)), peer_(peer), rail_(rail) {}

  /// kDone when `inbox_` holds exactly `size` bytes; never reads further, what follows is not for
  /// us.
  State collect(std::size_t size);
  State send(const std::string& bytes);
  State fail(Status why);
  /// The peer may be known only after construction, so this is asked when a handshake starts.
  std::string context_for(Rank client, Rank server) const;

  const Identity& identity_;
  GuardedFd socket_;
  Rank peer_;
  int rail_;
  Status failure_;
  std::string inbox_;
};

/// What the socket sends leaves by this interface, and nothing else reaches it, if that is allowed.
void bind_to_interface(int socket, const Interface& interface) noexcept;

/// Starts to connect. The identity must outlive the greeting.
Result<std::unique_ptr<Greeting>> call_peer(const Identity& identity, Rank peer,
                                            const Route& route);
/// Hears out somebody who connected. Only ranks above ours connect to us.
std::unique_ptr<Greeting> hear_caller(const Identity& identity, GuardedFd socket);

}  // namespace smddp
