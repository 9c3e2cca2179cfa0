#pragma once

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <torch/csrc/distributed/c10d/Store.hpp>

namespace smddp::torch_adapter {

/// A connection to a torch.distributed store beside the application's own, shared by all groups of
/// this process. A waiting call on the application's would hold up its store calls, or they ours,
/// and those may be what other ranks wait for. One per group would be dear: torch looks up the name
/// of the other end of each, on both ends, which takes seconds where no name server answers.
///
/// Whoever uses it must not make it wait: it serves one call at a time.
class StoreConnection {
 public:
  /// The connection beside `original`; opened when it is first used.
  static std::shared_ptr<StoreConnection> beside(const c10::intrusive_ptr<c10d::Store>& original) {
    // Never destroyed: threads that connect groups may outlive static objects.
    static auto& mutex = *new std::mutex;
    static auto& open = *new std::map<c10d::Store*, std::weak_ptr<StoreConnection>>;
    const std::lock_guard lock{mutex};
    std::erase_if(open, [](const auto& entry) { return entry.second.expired(); });
    // An entry that has not expired holds its store, so no other store has its address.
    std::weak_ptr<StoreConnection>& known = open[original.get()];
    std::shared_ptr<StoreConnection> connection = known.lock();
    if (connection == nullptr) {
      connection = std::make_shared<StoreConnection>(original);
      known = connection;
    }
    return connection;
  }

  explicit StoreConnection(c10::intrusive_ptr<c10d::Store> original)
      : original_(std::move(original)) {}

  c10d::Store& store() {
    std::call_once(opened_, [this] {
      try {
        own_ = original_->clone();
      } catch (const std::exception&) {
        own_ = original_;  // a store that cannot be cloned, such as one written in Python
      }
    });
    return *own_;
  }

 private:
  const c10::intrusive_ptr<c10d::Store> original_;
  std::once_flag opened_;
  c10::intrusive_ptr<c10d::Store> own_;
};

}  // namespace smddp::torch_adapter
