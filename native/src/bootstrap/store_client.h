#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "smddp/store.h"

#include "base/guarded_fd.h"
#include "bootstrap/store_protocol.h"

namespace smddp {

struct StoreAddress {
  std::string abstract_name{};  ///< when not empty, the rest is unused
  std::string host{};
  std::uint16_t port = 0;
};

/// A Store served by rank 0's StoreServer. Connects at the first call. Each calling
/// thread that waits has a connection of its own, so that a `get` holds up nobody; they
/// are kept for later calls.
///
/// A call that times out closes its connection: no late answer can be taken for another one's. A
/// `set` or `add` that timed out may still take effect. When the server ends, waiting and later
/// calls fail with kPeerLost. In a forked child every call is kState.
class StoreClient final : public Store {
 public:
  StoreClient(StoreAddress address, std::string secret);
  ~StoreClient() override;

  Status set(const std::string& key, const std::string& value, Deadline deadline) override;
  Result<std::string> get(const std::string& key, Deadline deadline) override;
  Result<std::int64_t> add(const std::string& key, std::int64_t delta, Deadline deadline) override;

 private:
  struct State;
  struct Answer {
    StoreAnswer code = StoreAnswer::kInvalid;
    std::string body;
  };

  Result<Answer> request(const StoreRequest& request, Deadline deadline);
  Result<Answer> round_trip(int fd, const StoreRequest& request, Deadline deadline);
  Result<GuardedFd> take_connection(Deadline deadline);
  Result<GuardedFd> connect(Deadline deadline);
  Status gone();

  const StoreAddress address_;
  const std::string secret_;
  const std::string where_;  ///< the address for people
  std::unique_ptr<State> state_;
};

}  // namespace smddp
