#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "smddp/request.h"

#include "base/completion.h"
#include "base/signature.h"
#include "engine/scratch.h"
#include "plan/plan.h"
#include "provider/provider.h"
#include "transport/transport.h"

namespace smddp {

/// Walks one plan over the group's provider and transport: posts the steps whose predecessors are
/// complete, does copies and reductions itself. Tokens are step indices. Driven by the baton
/// holder; reused from one operation to the next without allocating once its tables have grown.
class Execution {
 public:
  /// Either may be null when no plan of the group needs it. Both outlive the execution.
  Execution(Provider* provider, Transport* transport)
      : provider_(provider), transport_(transport) {}

  /// Binds `plan` to the buffers of `request`; both stay where they are until the execution is
  /// over. kSystem: there is no memory for its intermediate results.
  Status start(const Plan& plan, const Request& request, const Signature& signature);
  /// The request moved; its contents are the same.
  void rebind(const Request& request) noexcept { request_ = &request; }
  /// Posts what is ready. Returns true when anything was started; the failure of a post ends
  /// everything.
  Result<bool> advance();
  void complete(Token token) noexcept;
  bool is_over() const noexcept { return remaining_ == 0; }
  /// Nothing but messages can make it go on.
  bool waits_for_messages() const noexcept { return posted_natives_ == 0; }
  /// Peers whose messages have not come or do not get away, and local ranks the provider waits for;
  /// cold.
  std::vector<Rank> waiting_for() const;

 private:
  enum class State : std::uint8_t { kWaiting, kPosted, kDone };

  bool is_ready(std::size_t index) const;
  bool keeps_order(std::size_t index) const;
  Status begin(std::size_t index);
  Status post_message(const Step& step, Token token);
  void post_native(const Step& step, Token token);
  void reduce(const Step& step);
  void copy(const Step& step);
  std::size_t bytes(const Range& range) const { return range.count * width_of(range.space); }
  std::size_t width_of(Space space) const {
    return space == Space::kPartials ? partial_bytes_ : element_bytes_;
  }
  /// Memory of the execution's own.
  std::byte* own_memory(const Range& range) const;
  const std::byte* source(const Range& range) const;
  std::byte* target(const Range& range);

  Provider* provider_;
  Transport* transport_;
  Scratch scratch_;
  std::vector<State> states_;
  std::vector<const std::byte*> sources_;

  const Plan* plan_ = nullptr;
  const Request* request_ = nullptr;
  ElementTypes types_{};
  std::size_t element_bytes_ = 1;
  std::size_t partial_bytes_ = 1;
  std::size_t first_partial_ = 0;  ///< bytes of scratch before the partial sums
  Envelope envelope_{};
  std::uint64_t sequence_ = 0;
  std::size_t remaining_ = 0;
  std::size_t posted_natives_ = 0;
  std::size_t first_waiting_ = 0;
  bool dirty_ = false;  ///< something completed since the last look for ready steps
};

}  // namespace smddp
