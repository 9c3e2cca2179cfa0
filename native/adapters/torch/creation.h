#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "backend.h"
#include "store.h"

namespace smddp::torch_adapter {

// How backends come to be: for a new group, and for a part of one that exists.

template <typename T>
T value_or_throw(Result<T> result) {
  if (!result.ok()) throw_if_error(result.status());
  return std::move(result).value();
}

/// `labels`: numbers of the members in the whole job; empty: the group of all ranks.
inline c10::intrusive_ptr<SmddpBackend> create_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                       int rank, int size, const std::string& name,
                                                       std::vector<Rank> labels,
                                                       const Config& config) {
  if (labels.empty()) {
    labels.resize(static_cast<std::size_t>(size));
    std::iota(labels.begin(), labels.end(), 0);
  }
  auto runtime = value_or_throw(Runtime::acquire(config));
  const auto meeting_place = std::make_shared<C10dStore>(store);
  CommunicatorOptions options{rank, size, name, meeting_place, labels};
  process_prefix(labels[static_cast<std::size_t>(rank)]);
  auto communicator = value_or_throw(runtime->create_communicator(std::move(options), config));
  communicator->meet();
  return c10::make_intrusive<SmddpBackend>(std::move(runtime), std::move(communicator),
                                           meeting_place, config, std::move(labels));
}

/// A backend for those `ranks` of this group; null on the others. torch asks once for each type of
/// device, and gets the same one.
inline c10::intrusive_ptr<c10d::Backend> SmddpBackend::split(
    const c10::intrusive_ptr<c10d::Store>& store, const std::vector<int>& ranks,
    const c10::intrusive_ptr<Options>& options) {
  const auto place = std::find(ranks.begin(), ranks.end(), rank_);
  if (place == ranks.end()) return nullptr;
  const Unlocked unlocked;
  if (const auto known = parts_.find(options->group_name); known != parts_.end()) {
    if (auto part = known->second.lock()) return part;
  }
  std::vector<Rank> labels;
  for (const int rank : ranks) labels.push_back(label_of(rank));
  Config config = config_;
  config.timeout = options->timeout;
  auto part =
      create_backend(store, static_cast<int>(place - ranks.begin()), static_cast<int>(ranks.size()),
                     options->group_name, std::move(labels), config);
  parts_.insert_or_assign(options->group_name, c10::weak_intrusive_ptr<SmddpBackend>{part});
  return part;
}

/// Meets the other ranks on that device at once, instead of at the first collective.
inline void SmddpBackend::eagerConnectSingleDevice(at::Device device) {
  if (device.is_cpu()) return;
  const c10::DeviceGuard guard{device};
  side_of(device)->meet();
}

}  // namespace smddp::torch_adapter
