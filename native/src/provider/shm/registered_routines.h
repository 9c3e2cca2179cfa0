#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "provider/shm/region.h"
#include "provider/shm/routine.h"

namespace smddp {

/// Arrays of all ranks of the group for one call, where this rank can reach them. Entries that the
/// collective does not need are null.
struct ReachedArrays {
  std::span<const std::byte* const> in;
  std::span<std::byte* const> out;
};

/// This rank's share of a collective on registered memory: it reads and writes the others' arrays
/// where they are. Between the announcement of all ranks that they are ready and the one that they
/// have consumed.
class RegisteredRoutine {
 public:
  virtual ~RegisteredRoutine() = default;
  /// Goes on for a bounded time. True when the share is done.
  virtual bool advance() = 0;
};

/// all_reduce and reduce: each rank adds one slice of the arrays and writes it to whoever needs it.
class RegisteredReduce final : public RegisteredRoutine {
 public:
  RegisteredReduce(const ShmCall& call, const ReachedArrays& arrays);
  bool advance() override;

 private:
  void reduce_block(std::size_t offset, std::size_t count);

  const ShmCall& call_;
  ReachedArrays arrays_;
  std::vector<std::byte*> targets_;
  Part rest_;
};

/// reduce_scatter: each rank adds its own part.
class RegisteredScatter final : public RegisteredRoutine {
 public:
  RegisteredScatter(const ShmCall& call, const ReachedArrays& arrays);
  bool advance() override;

 private:
  const ShmCall& call_;
  ReachedArrays arrays_;
  std::size_t done_ = 0;
};

/// What one rank takes from another's `in`, in elements.
struct Fetch {
  std::size_t from = 0;
  Part to;
};

/// all_gather, gather, broadcast, scatter and all_to_all: each rank fetches what it needs.
class RegisteredFetch final : public RegisteredRoutine {
 public:
  /// All ranks have told what they have to tell in `chunk`.
  RegisteredFetch(const ShmCall& call, const ReachedArrays& arrays, std::uint64_t chunk);
  bool advance() override;

 private:
  Fetch fetch_from(int rank) const;
  const std::byte* in_of(int rank) const;

  const ShmCall& call_;
  ReachedArrays arrays_;
  std::uint64_t chunk_;
  int rank_ = 0;
  std::size_t done_ = 0;
};

/// Which of this rank's arrays the others need for the call, when each reaches the others'.
struct Needed {
  bool in = false;
  bool out = false;
};
Needed needed_arrays(const ShmCall& call);

/// Whether the call may run on registered memory: its collective can, and it is large enough that
/// copies cost more than one synchronisation more.
bool suits_registered(const ShmCall& call);

}  // namespace smddp
