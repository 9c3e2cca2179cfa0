#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "smddp/deadline.h"
#include "smddp/status.h"

namespace smddp {

struct StoreServerOptions {
  std::string secret{};
  std::string abstract_name{};              ///< listens there when not empty
  std::optional<std::uint16_t> tcp_port{};  ///< listens there when given; 0 = any free port
  std::string tcp_address{};                ///< IPv4 text, empty = all interfaces
  std::size_t max_clients = 4096;           ///< connections at one time, authenticated
  /// A stranger that has not proved itself by then is dropped. It delays nobody meanwhile.
  std::chrono::milliseconds handshake_patience{10000};
};

/// Serves one KeyValues to StoreClients from one thread of its own, which never blocks
/// on any client. Owned by rank 0. In a forked child it is inert: nothing is touched,
/// not even by the destructor.
class StoreServer {
 public:
  /// Listens and starts the thread. kConfig when the port or name is taken.
  static Result<std::unique_ptr<StoreServer>> start(const StoreServerOptions& options);
  StoreServer(const StoreServer&) = delete;
  StoreServer& operator=(const StoreServer&) = delete;
  ~StoreServer();  ///< stops without waiting for clients

  /// The TCP port it listens on, 0 when on none.
  std::uint16_t port() const noexcept { return port_; }

  /// Takes no new clients, serves those who are there until they have left or the deadline has
  /// passed, then ends.
  void stop(Deadline grace);

 private:
  class Loop;
  StoreServer(std::unique_ptr<Loop> loop, std::uint16_t port);
  Status start_thread();

  std::unique_ptr<Loop> loop_;
  std::uint16_t port_;
  std::unique_ptr<std::thread> thread_;
};

}  // namespace smddp
