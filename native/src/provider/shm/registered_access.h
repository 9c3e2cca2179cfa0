#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "provider/shm/region.h"
#include "provider/shm/registered_routines.h"
#include "provider/shm/routine.h"

namespace smddp {

/// How a call's arrays are reached.
enum class Route : std::uint8_t {
  kStaged,      ///< through the slots
  kRegistered,  ///< where they are
  kStartOver,  ///< through the slots, which not all ranks have filled: once more from the beginning
};

/// The registered heaps of the group's ranks, and what the posted call does with them.
///
/// A rank whose arrays lie in its heap says so, and where, when it announces itself, and stages
/// nothing. If others' do not, that announcement was for nothing: all ranks make another one, with
/// everything staged.
class RegisteredAccess {
 public:
  /// `heaps[j]` is the heap of local rank j as this process has it mapped. If one is empty, no call
  /// of this rank is registered.
  /// `call` is the provider's own and outlives this.
  RegisteredAccess(std::vector<std::span<std::byte>> heaps, const ShmCall& call);

  /// The call is another one now.
  void bind() { place_ = locate(); }
  ArrayPlace place() const noexcept { return place_; }
  void announce(ReadyLine& line) const;
  /// All ranks have announced `chunk`.
  Route agree(std::uint64_t chunk);
  /// After kRegistered: this rank's share, in turns. True when it is done.
  bool advance() { return share_->advance(); }
  /// The call has failed, and peers may still write to its arrays.
  void retire() const noexcept;

 private:
  using AnyRoutine = std::variant<RegisteredReduce, RegisteredScatter, RegisteredFetch>;

  std::optional<std::uint64_t> offset_of(const std::byte* array) const;
  ArrayPlace locate();
  void reach_all(std::uint64_t chunk);
  void select_share(std::uint64_t chunk);

  std::vector<std::span<std::byte>> heaps_;
  bool reaches_all_;
  std::vector<const std::byte*> in_;
  std::vector<std::byte*> out_;

  // The posted call.
  const ShmCall& call_;
  ArrayPlace place_ = ArrayPlace::kPlain;
  Offsets offsets_;
  std::optional<AnyRoutine> storage_;
  RegisteredRoutine* share_ = nullptr;
};

}  // namespace smddp
