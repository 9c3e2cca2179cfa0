#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "smddp/status.h"

#include "provider/cuda/driver.h"

namespace smddp::cuda {

/// What a GPU is, for those who have to tell it from others.
struct Identity {
  std::array<char, 16> uuid{};     ///< on whatever host it is; a part of a GPU (MIG) has its own
  std::array<char, 16> pci_bus{};  ///< on its machine; parts of a GPU have the same
  int capability = 0;              ///< 9 for sm_90
};

/// One GPU as this process uses it: in the context that torch and NCCL use too. Any thread may call
/// any function, and none waits for the GPU. A failure of the GPU is that of every call from then
/// on.
class Gpu {
 public:
  /// Makes the GPU current on this thread, and then the one again that was.
  class Current {
   public:
    explicit Current(const Gpu& gpu) noexcept;
    ~Current();
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

   private:
    const DriverTable& driver_;
    const bool pushed_;
  };

  /// `ordinal`: as the CUDA runtime counts. kSystem: there is no such GPU, or it is not to be had.
  static Result<std::shared_ptr<Gpu>> open(const DriverTable& driver, int ordinal);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  int ordinal() const noexcept { return ordinal_; }
  const Identity& identity() const noexcept { return identity_; }

  // What a stream does, after what it has been given before.
  Status copy_to_host(std::byte* to, const void* from, std::size_t bytes, Stream stream) const;
  Status copy_to_device(void* to, const std::byte* from, std::size_t bytes, Stream stream) const;
  Status copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream) const;
  /// Calls a function on a thread of the driver's, which must not call CUDA.
  Status call(HostFunction function, void* data, Stream stream) const;
  /// Waits until the word, in pinned memory, is at least `value`.
  Status wait_for(const std::uint32_t* word, std::uint32_t value, Stream stream) const;
  Status record(Event event, Stream stream) const;

  /// Whether what the stream is given becomes part of a graph instead of being done.
  Result<bool> is_capturing(Stream stream) const;
  Result<Event> make_event() const;
  void destroy(Event event) const noexcept;
  /// Ok when what the stream had been given before `record` is done; "again" until then.
  Status query(Event event) const;

  /// Memory of the host that the GPU reads and writes by itself.
  Result<std::byte*> allocate_pinned(std::size_t bytes) const;
  void free_pinned(std::byte* memory) const noexcept;

 private:
  Gpu(const DriverTable& driver, int ordinal) : driver_(driver), ordinal_(ordinal) {}

  Status take_hold();
  Status check(int error, const char* function) const;

  const DriverTable driver_;
  const int ordinal_;
  int device_ = 0;
  Context context_ = nullptr;  ///< null: not retained
  Identity identity_{};
};

}  // namespace smddp::cuda
