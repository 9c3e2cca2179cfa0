#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "smddp/store.h"

namespace smddp::torch_adapter {

/// The store that torch.distributed gave to the group, as the engine sees it.
class C10dStore final : public Store {
 public:
  explicit C10dStore(c10::intrusive_ptr<c10d::Store> store) : shared_(std::move(store)) {}

  Status set(const std::string& key, const std::string& value, Deadline) override {
    return attempt(key,
                   [&] { own().set(key, std::vector<std::uint8_t>{value.begin(), value.end()}); });
  }

  Result<std::string> get(const std::string& key, Deadline deadline) override {
    std::string value;
    Status status = attempt(key, [&] {
      own().wait({key}, std::chrono::milliseconds{
                            std::max(deadline.poll_timeout_ms(std::chrono::hours{24}), 1)});
      const std::vector<std::uint8_t> bytes = own().get(key);
      value.assign(bytes.begin(), bytes.end());
    });
    if (status.ok()) return value;
    // Stores report an expired wait and a lost connection by the same exception.
    return deadline.passed() ? Status{StatusCode::kTimeout, "timed out waiting for key " + key}
                             : status;
  }

  Result<std::int64_t> add(const std::string& key, std::int64_t delta, Deadline) override {
    std::int64_t value = 0;
    Status status = attempt(key, [&] { value = own().add(key, delta); });
    if (!status.ok()) return status;
    return value;
  }

 private:
  template <typename Call>
  static Status attempt(const std::string& key, Call&& call) {
    try {
      call();
      return Status{};
    } catch (const c10::Error& problem) {
      return failure(key, problem.what_without_backtrace());
    } catch (const std::exception& problem) {
      return failure(key, problem.what());
    }
  }

  static Status failure(const std::string& key, const std::string& problem) {
    return Status{StatusCode::kPeerLost,
                  "the torch.distributed store failed at key " + key + ": " + problem};
  }

  // A connection of our own: a waiting get on the shared one would block the application's store
  // calls, and those may be what other ranks wait for.
  c10d::Store& own() {
    if (!own_) {
      try {
        own_ = shared_->clone();
      } catch (const std::exception&) {
        own_ = shared_;  // a store that cannot be cloned, such as one written in Python
      }
    }
    return *own_;
  }

  c10::intrusive_ptr<c10d::Store> shared_;
  c10::intrusive_ptr<c10d::Store> own_;
};

}  // namespace smddp::torch_adapter
