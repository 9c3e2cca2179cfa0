#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "smddp/types.h"

#include "base/completion.h"
#include "base/native_step.h"
#include "base/signature.h"

namespace smddp {

/// One native step bound to memory. Counts and parts are elements; see base/native_step.h for the
/// meaning.
struct NativeCall {
  const NativeStep* step = nullptr;  ///< borrowed until the token completes
  DType dtype = DType::kUint8;
  std::optional<DType> out_dtype{};  ///< of `out`, where it is not `dtype`; see kReduceScatter
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  Envelope envelope{};  ///< must be equal on all local ranks
};

/// Collectives inside one group of ranks that share memory. One call at a time; driven by one
/// thread at a time (the baton holder); never blocks. Faults of the group are reported through the
/// sink.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual void post(const NativeCall& call, Token token) = 0;
  /// Returns true when anything moved.
  virtual bool progress(CompletionSink& sink) = 0;
  /// Forgets the posted call: this rank touches no buffer of it again.
  virtual void abandon() noexcept = 0;
  /// Whether the next `progress` may write into the memory of peers: not once the call has failed.
  virtual bool writes_to_peers() const noexcept = 0;
  /// After `abandon`: ranks that may still write into this one's arrays, because they have neither
  /// finished nor abandoned the call; cold.
  virtual std::vector<Rank> writers() const = 0;
  /// Whether the posted call waits while another rank of the group has to share the calling
  /// thread's processor, so that the thread should offer it at once.
  virtual bool shares_processor() noexcept = 0;
  /// Then: moves the thread where there is more room, if it is time for that.
  virtual void move_apart() noexcept = 0;
  /// Ranks that the posted call waits for; cold.
  virtual std::vector<Rank> waiting_for() const = 0;
};

}  // namespace smddp
