#pragma once

#include <atomic>

namespace smddp {

/// Intrusive unbounded queue: any thread pushes without waiting, one thread at a time pops. `T`
/// derives from MpscNode. The queue does not own its elements.
///
/// Dmitry Vyukov's intrusive MPSC node-based queue: a push exchanges the tail and then links its
/// predecessor; between the two the chain is cut for a moment, in which `try_pop` finds nothing.
/// The links are sequentially consistent, so that a consumer which raises a flag and then finds
/// nothing may sleep: whoever pushes sees the flag.
struct MpscNode {
  std::atomic<MpscNode*> next{nullptr};
};

template <typename T>
class MpscQueue {
 public:
  MpscQueue() : tail_(&stub_), head_(&stub_) {}
  MpscQueue(const MpscQueue&) = delete;
  MpscQueue& operator=(const MpscQueue&) = delete;

  void push(T* element) noexcept { push_node(element); }

  T* try_pop() noexcept {
    MpscNode* head = head_;
    MpscNode* next = head->next.load(std::memory_order_seq_cst);
    if (head == &stub_) {
      if (next == nullptr) return nullptr;
      head_ = head = next;
      next = head->next.load(std::memory_order_seq_cst);
    }
    if (next == nullptr) {
      if (head != tail_.load(std::memory_order_acquire)) return nullptr;
      // The last element may only be taken once something follows it.
      push_node(&stub_);
      next = head->next.load(std::memory_order_seq_cst);
      if (next == nullptr) return nullptr;
    }
    head_ = next;
    return static_cast<T*>(head);
  }

 private:
  void push_node(MpscNode* node) noexcept {
    node->next.store(nullptr, std::memory_order_relaxed);
    // Release: the element's contents are visible to whoever reads it; acquire: ours comes after
    // its predecessor.
    MpscNode* previous = tail_.exchange(node, std::memory_order_acq_rel);
    previous->next.store(node, std::memory_order_seq_cst);
  }

  alignas(64) std::atomic<MpscNode*> tail_;  ///< producers
  alignas(64) MpscNode* head_;               ///< consumer
  MpscNode stub_;
};

}  // namespace smddp
