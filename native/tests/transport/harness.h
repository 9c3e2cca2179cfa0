#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "smddp/deadline.h"

#include "base/completion.h"
#include "base/poller.h"
#include "base/unique_fd.h"
#include "transport/registry.h"
#include "transport/transport.h"

namespace smddp::test {

inline Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }

/// What messages call a rank in these tests.
inline std::string label(Rank rank) { return "rank " + std::to_string(100 + rank); }

/// Bytes that differ by `seed` and position.
std::vector<std::byte> pattern(unsigned seed, std::size_t bytes);
Envelope envelope(unsigned seed);

/// Notes everything; `faults` holds what no transport may do: complete twice, or outside of
/// `progress`.
class RecordingSink final : public CompletionSink {
 public:
  void complete(Token token, Status status) override;
  void mismatch(Rank peer, const Envelope& theirs) override;
  void notice(Rank peer, std::span<const std::byte> bytes) override;
  void peer_closed(Rank peer, const Status& why) override;

  bool is_complete(Token token) const { return completed.contains(token); }

  bool in_progress = false;
  std::map<Token, std::size_t> completed;  ///< token -> position in the order of completion
  std::vector<std::pair<Rank, Envelope>> mismatches;
  std::vector<std::pair<Rank, std::string>> notices;
  std::vector<std::pair<Rank, Status>> closed;
  std::vector<std::string> faults;
  std::function<void()> on_event;  ///< called from inside every report
};

/// One rank: a transport with what drives it.
class TestRank {
 public:
  explicit TestRank(const std::string& transport, Rank self,
                    const std::string& listen_interface = "");
  /// Over the first so many rails of loopback.
  TestRank(const std::string& transport, Rank self, std::size_t rails);
  /// Without a transport.
  explicit TestRank(Rank self);

  bool progress();
  /// Moves until `done`, sleeping on the poller whenever nothing moves; false at the deadline.
  bool run_until(const std::function<bool()>& done, Deadline deadline);
  Status send(Rank peer, const std::vector<std::byte>& data, unsigned op, Token token);
  Status send(Rank peer, std::vector<std::byte>&& data, unsigned op,
              Token token) = delete;  ///< it is borrowed
  Status receive(Rank peer, std::vector<std::byte>& data, unsigned op, Token token);
  void notice(Rank peer, const std::string& text);
  Status watch();

  Rank self;
  UniqueFd wake_event;
  RecordingSink sink;
  Poller poller;
  std::shared_ptr<void> shared;  ///< what the transport borrows
  std::unique_ptr<Transport> transport;

 private:
  void make(const std::string& name, TransportContext context);
};

using World = std::vector<std::unique_ptr<TestRank>>;

/// How one rank connects; the defaults make a sound world.
struct Entrance {
  std::string secret = "secret";
  std::string context = "world";
  Deadline deadline = soon();
};

/// tcp over three rails of loopback, in small chunks.
inline constexpr const char* kRails = "rails";
/// Transport ofi with RMA writes wherever libfabric offers them.
inline constexpr const char* kRmaOfi = "ofi RMA";
/// The same without, and without a descriptor to sleep on.
inline constexpr const char* kTaggedOfi = "ofi tagged";
/// Both over three rails of loopback, in small chunks.
inline constexpr const char* kRmaRailsOfi = "ofi RMA rails";
inline constexpr const char* kTaggedRailsOfi = "ofi tagged rails";

/// Those of the registry, in each of their ways to carry a message.
std::vector<std::string> connectable_transports();
/// All that carry messages: those and the one that is not connected.
std::vector<std::string> all_transport_names();
World make_world(const std::string& transport, int size);
std::vector<PeerAddress> listen_all(World& world);
Status connect_one(TestRank& rank, const std::vector<PeerAddress>& addresses,
                   const Entrance& entrance);
/// Listens and connects everybody, each rank in its own thread.
void connect_all(World& world);
/// A new world, connected.
World connected_world(const std::string& transport, int size);

/// Drives all ranks in turn from this thread until `done`; false at the deadline.
bool drive(World& world, const std::function<bool()>& done, Deadline deadline = soon());
/// Everybody drives at least until nothing has moved for a while; for checks that something does
/// not happen.
void settle(World& world);
/// Runs the functions in threads of their own; gives back what they threw.
std::vector<std::string> run_threads(const std::vector<std::function<void()>>& functions);
/// For checks inside of threads.
void require(bool condition, const std::string& what);

}  // namespace smddp::test
