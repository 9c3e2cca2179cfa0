#pragma once

#include <tensorflow/core/framework/op_kernel.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "smddp/registered.h"

#include "call.h"

namespace smddp::tf_adapter {

/// Several tensors of one dtype as one array, so that they take one collective. In registered
/// memory where there is room: there a collective inside a host needs no copies of its own.
class Bucket {
 public:
  explicit Bucket(std::size_t bytes) {
    if (Result<RegisteredBlock> block = RegisteredBlock::allocate(bytes); block.ok()) {
      registered_.emplace(std::move(block).value());
    } else {
      plain_.resize(bytes);
    }
  }

  std::byte* data() { return registered_ ? registered_->data() : plain_.data(); }
  std::size_t size() const { return registered_ ? registered_->size() : plain_.size(); }

  void fill(const tensorflow::OpInputList& tensors) {
    std::byte* place = data();
    for (const tensorflow::Tensor& tensor : tensors) {
      std::memcpy(place, tensor.data(), tensor.TotalBytes());
      place += tensor.TotalBytes();
    }
  }

  void empty_into(tensorflow::OpOutputList& tensors) {
    const std::byte* place = data();
    for (int i = 0; i < tensors.size(); ++i) {
      std::memcpy(tensors[i]->data(), place, tensors[i]->TotalBytes());
      place += tensors[i]->TotalBytes();
    }
  }

 private:
  std::optional<RegisteredBlock> registered_;
  std::vector<std::byte> plain_;
};

/// The buckets of one op: as many as it has executions at a time, kept from step to step.
class Buckets {
 public:
  std::shared_ptr<Bucket> take(std::size_t bytes) {
    {
      const std::lock_guard lock{mutex_};
      while (!free_.empty()) {
        std::shared_ptr<Bucket> bucket = std::move(free_.back());
        free_.pop_back();
        if (bucket->size() == bytes) return bucket;  // others are of shapes that have changed
      }
    }
    return std::make_shared<Bucket>(bytes);
  }

  void give_back(std::shared_ptr<Bucket> bucket) {
    const std::lock_guard lock{mutex_};
    free_.push_back(std::move(bucket));
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Bucket>> free_;
};

}  // namespace smddp::tf_adapter
