#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "smddp/store.h"

#include "store_connection.h"

namespace smddp::torch_adapter {

/// What the layers of PrefixStore around a store make of a key. torch keeps that to derived
/// classes.
class Prefixes : public c10d::PrefixStore {
 public:
  static c10::intrusive_ptr<c10d::Store> strip(const c10::intrusive_ptr<c10d::Store>& store) {
    auto* const layer = dynamic_cast<c10d::PrefixStore*>(store.get());
    return layer == nullptr ? store : layer->getUnderlyingNonPrefixStore();
  }

  static std::string full_key(c10::intrusive_ptr<c10d::Store> store, std::string key) {
    while (auto* const layer = dynamic_cast<c10d::PrefixStore*>(store.get())) {
      key = (layer->*&Prefixes::joinKey)(key);
      store = layer->getUnderlyingStore();
    }
    return key;
  }
};

/// The store that torch.distributed gave to the group, as the engine sees it.
class C10dStore final : public Store {
 public:
  explicit C10dStore(const c10::intrusive_ptr<c10d::Store>& store)
      : prefix_(Prefixes::full_key(store, "")),
        connection_(StoreConnection::beside(Prefixes::strip(store))) {}

  Status set(const std::string& key, const std::string& value, Deadline) override {
    return attempt(key, [&](c10d::Store& store) {
      store.set(prefix_ + key, std::vector<std::uint8_t>{value.begin(), value.end()});
    });
  }

  // Looks again and again, because other groups use the connection too.
  Result<std::string> get(const std::string& key, Deadline deadline) override {
    for (std::chrono::microseconds pause = kFirstPause;;
         pause = std::min(2 * pause, kLongestPause)) {
      const bool last = deadline.passed();
      bool found = false;
      std::string value;
      SMDDP_RETURN_IF_ERROR(attempt(key, [&](c10d::Store& store) {
        found = store.check({prefix_ + key});
        if (!found) return;
        const std::vector<std::uint8_t> bytes = store.get(prefix_ + key);
        value.assign(bytes.begin(), bytes.end());
      }));
      if (found) return value;
      if (last) return Status{StatusCode::kTimeout, "timed out waiting for key " + key};
      std::this_thread::sleep_for(deadline.remaining(pause));
    }
  }

  Result<std::int64_t> add(const std::string& key, std::int64_t delta, Deadline) override {
    std::int64_t value = 0;
    SMDDP_RETURN_IF_ERROR(
        attempt(key, [&](c10d::Store& store) { value = store.add(prefix_ + key, delta); }));
    return value;
  }

 private:
  static constexpr std::chrono::microseconds kFirstPause{200};
  static constexpr std::chrono::microseconds kLongestPause{50'000};

  template <typename Call>
  Status attempt(const std::string& key, Call&& call) {
    try {
      call(connection_->store());
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

  const std::string prefix_;
  const std::shared_ptr<StoreConnection> connection_;
};

}  // namespace smddp::torch_adapter
