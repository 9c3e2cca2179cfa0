#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "base/auth.h"
#include "bootstrap/store_client.h"
#include "bootstrap/store_server.h"

namespace smddp::test {

inline Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }
inline Deadline moment() { return Deadline::after(std::chrono::milliseconds{30}); }
inline Deadline past() { return Deadline::after(std::chrono::seconds{0}); }

/// A name that no other run of the tests uses at the same time.
inline std::string unique_name() { return "smddp-test-" + to_hex(random_bytes(8)); }

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Runs `body(i)` in `count` threads at once.
inline void run_threads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& each : threads) each.join();
}

/// A server at an abstract name and at a free loopback port.
struct ServedStore {
  explicit ServedStore(StoreServerOptions options = {}) {
    options.secret = secret;
    options.abstract_name = name;
    options.tcp_address = "127.0.0.1";
    options.tcp_port = 0;
    auto started = StoreServer::start(options);
    REQUIRE(started.ok());
    server = std::move(started).value();
  }

  std::unique_ptr<StoreClient> abstract_client() const {
    return std::make_unique<StoreClient>(StoreAddress{.abstract_name = name}, secret);
  }
  std::unique_ptr<StoreClient> tcp_client() const {
    return std::make_unique<StoreClient>(
        StoreAddress{.abstract_name = "", .host = "127.0.0.1", .port = server->port()}, secret);
  }

  std::string secret = random_bytes(32);
  std::string name = unique_name();
  std::unique_ptr<StoreServer> server;
};

}  // namespace smddp::test
