#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <deque>
#include <vector>

#include "fake_nccl_numbers.h"
#include "fake_nccl_world.h"
#include "provider/nccl/abi.h"

namespace smddp::nccl::fake {

enum class Kind { kAllReduce, kReduce, kBroadcast, kReduceScatter, kAllGather, kSend, kRecv };

/// One call of the interface, as noted until its stream gets to it.
struct Call {
  Kind kind{};
  const void* in = nullptr;
  void* out = nullptr;
  std::size_t count = 0;
  DataType type{};
  RedOp op{};
  int peer = 0;  ///< also the root
};

inline bool is_message(const Call& call) {
  return call.kind == Kind::kSend || call.kind == Kind::kRecv;
}

/// A collective, chunk by chunk: all put theirs into slots, and take what they need from them.
class Exchange {
 public:
  Exchange(World& world, const Call& call)
      : world_(world),
        call_(call),
        in_(static_cast<const std::byte*>(call.in)),
        out_(static_cast<std::byte*>(call.out)),
        size_(size_of(call.type)),
        most_(kSlotBytes / size_) {}

  /// False: a rank has aborted.
  bool run() {
    switch (call_.kind) {
      case Kind::kAllReduce:
        return reduce(true);
      case Kind::kReduce:
        return reduce(is_root());
      case Kind::kBroadcast:
        return broadcast();
      case Kind::kReduceScatter:
        return reduce_scatter();
      case Kind::kAllGather:
        return all_gather();
      case Kind::kSend:
      case Kind::kRecv:
        break;  // those of a group are one exchange, below
    }
    return true;
  }

 private:
  bool reduce(bool takes) {
    return in_chunks(
        most_,
        [&](std::size_t at, std::size_t count) { copy(own_slot(), in_ + at * size_, count); },
        [&](std::size_t at, std::size_t count) {
          if (takes) reduce_slots(0, at, count);
        });
  }

  bool broadcast() {
    return in_chunks(
        most_,
        [&](std::size_t at, std::size_t count) {
          if (is_root()) copy(own_slot(), in_ + at * size_, count);
        },
        [&](std::size_t at, std::size_t count) {
          copy(out_ + at * size_, world_.slot(call_.peer), count);
        });
  }

  bool all_gather() {
    return in_chunks(
        most_,
        [&](std::size_t at, std::size_t count) { copy(own_slot(), in_ + at * size_, count); },
        [&](std::size_t at, std::size_t count) {
          for (int rank = 0; rank < world_.ranks(); ++rank)
            copy(out_ + (block(rank) + at) * size_, world_.slot(rank), count);
        });
  }

  /// A slot has a part for each rank.
  bool reduce_scatter() {
    const std::size_t most = most_ / static_cast<std::size_t>(world_.ranks());
    const auto part = [&](int rank) { return static_cast<std::size_t>(rank) * most; };
    return in_chunks(
        most,
        [&](std::size_t at, std::size_t count) {
          for (int rank = 0; rank < world_.ranks(); ++rank)
            copy(own_slot() + part(rank) * size_, in_ + (block(rank) + at) * size_, count);
        },
        [&](std::size_t at, std::size_t count) { reduce_slots(part(world_.rank()), at, count); });
  }

  template <typename Put, typename Take>
  bool in_chunks(std::size_t most, Put put, Take take) {
    for (std::size_t at = 0; at < call_.count; at += most) {
      const std::size_t count = std::min(most, call_.count - at);
      put(at, count);
      if (!world_.barrier()) return false;
      take(at, count);
      if (!world_.barrier()) return false;
    }
    return true;
  }

  void reduce_slots(std::size_t from, std::size_t to, std::size_t count) {
    Inputs inputs;
    for (int rank = 0; rank < world_.ranks(); ++rank)
      inputs.push_back(world_.slot(rank) + from * size_);
    fake::reduce(call_.type, call_.op, inputs, out_ + to * size_, count);
  }

  void copy(std::byte* to, const std::byte* from, std::size_t count) const {
    std::memcpy(to, from, count * size_);
  }
  std::byte* own_slot() const { return world_.slot(world_.rank()); }
  bool is_root() const { return world_.rank() == call_.peer; }
  /// Where a rank's block begins in a buffer that has one for each.
  std::size_t block(int rank) const { return static_cast<std::size_t>(rank) * call_.count; }

  World& world_;
  const Call& call_;
  const std::byte* const in_;
  std::byte* const out_;
  const std::size_t size_;
  const std::size_t most_;  ///< elements that a slot holds
};

/// The sends and receives of one group. All go on together; those to one peer keep their order.
class Messages {
 public:
  explicit Messages(World& world)
      : world_(world),
        sends_(static_cast<std::size_t>(world.ranks())),
        receives_(static_cast<std::size_t>(world.ranks())) {}

  void add(const Call& call) {
    const std::size_t bytes = call.count * size_of(call.type);
    const auto peer = static_cast<std::size_t>(call.peer);
    if (call.kind == Kind::kSend)
      sends_[peer].push_back({static_cast<const std::byte*>(call.in), bytes});
    else
      receives_[peer].push_back({static_cast<std::byte*>(call.out), bytes});
    ++left_;
  }

  /// False: a rank has aborted.
  bool run() {
    while (left_ > 0) {
      if (!world_.wait_until([this] { return progress(); })) return false;
    }
    return true;
  }

 private:
  template <typename Pointer>
  struct Transfer {
    Pointer at;
    std::size_t left;  ///< bytes
  };
  template <typename Pointer>
  using Queue = std::deque<Transfer<Pointer>>;

  /// True if a chunk has moved.
  bool progress() {
    bool moved = false;
    for (int peer = 0; peer < world_.ranks(); ++peer) {
      const auto index = static_cast<std::size_t>(peer);
      moved |= send_chunk(sends_[index], world_.mailbox(world_.rank(), peer));
      moved |= receive_chunk(receives_[index], world_.mailbox(peer, world_.rank()));
    }
    return moved;
  }

  bool send_chunk(Queue<const std::byte*>& queue, Mailbox& box) {
    if (queue.empty() || box.bytes.load() != 0) return false;
    const std::size_t bytes = std::min(queue.front().left, kMailBytes);
    std::memcpy(box.data.data(), queue.front().at, bytes);
    box.bytes.store(static_cast<std::uint32_t>(bytes));
    advance(queue, bytes);
    return true;
  }

  bool receive_chunk(Queue<std::byte*>& queue, Mailbox& box) {
    if (queue.empty() || box.bytes.load() == 0) return false;
    // More than expected is the other's mistake, and no reason to write past the end.
    const std::size_t bytes = std::min<std::size_t>(box.bytes.load(), queue.front().left);
    std::memcpy(queue.front().at, box.data.data(), bytes);
    box.bytes.store(0);
    advance(queue, bytes);
    return true;
  }

  template <typename Pointer>
  void advance(Queue<Pointer>& queue, std::size_t bytes) {
    queue.front().at += bytes;
    queue.front().left -= bytes;
    if (queue.front().left > 0) return;
    queue.pop_front();
    --left_;
  }

  World& world_;
  std::vector<Queue<const std::byte*>> sends_;
  std::vector<Queue<std::byte*>> receives_;
  std::size_t left_ = 0;
};

/// The collectives in the order they were called, which all ranks share; then the messages, whose
/// order they need not share. False: a rank has aborted.
inline bool exchange(World& world, const std::vector<Call>& calls) {
  Messages messages{world};
  for (const Call& call : calls) {
    if (is_message(call))
      messages.add(call);
    else if (!Exchange{world, call}.run())
      return false;
  }
  return messages.run();
}

}  // namespace smddp::nccl::fake
