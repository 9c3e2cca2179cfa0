#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "smddp/status.h"

#include "provider/cuda/driver.h"

namespace smddp::cuda {

/// What a GPU is, for those who have to tell it from others.
struct Identity {
  std::array<char, 16> uuid{};     ///< on whatever host it is; a part of a GPU (MIG) has its own
  std::array<char, 16> pci_bus{};  ///< on its machine; parts of a GPU have the same
  int capability = 0;              ///< 9 for sm_90
};

/// Memory of a GPU that was asked for as one.
struct Allocation {
  std::uint64_t id = 0;  ///< no other one of the process has or had it; 0: the driver knows none
  const std::byte* start = nullptr;
  std::size_t bytes = 0;
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
  int processors() const noexcept { return processors_; }  ///< streaming multiprocessors

  // What a stream does, after what it has been given before.
  Status copy_to_host(std::byte* to, const void* from, std::size_t bytes, Stream stream) const;
  Status copy_to_device(void* to, const std::byte* from, std::size_t bytes, Stream stream) const;
  Status copy_on_device(void* to, const void* from, std::size_t bytes, Stream stream) const;
  /// Calls a function on a thread of the driver's, which must not call CUDA.
  Status call(HostFunction function, void* data, Stream stream) const;
  /// Waits until the word, in pinned memory, is at least `value`.
  Status wait_for(const std::uint32_t* word, std::uint32_t value, Stream stream) const;
  /// Writes words and waits for words, in their order.
  Status step(std::span<WordStep> steps, Stream stream) const;
  Status record(Event event, Stream stream) const;
  /// Waits for what another stream had been given before `record`.
  Status wait_for(Event event, Stream stream) const;
  /// A kernel with one parameter.
  Status launch(Function kernel, unsigned blocks, unsigned threads, void* parameter,
                Stream stream) const;

  /// Whether what the stream is given becomes part of a graph instead of being done.
  Result<bool> is_capturing(Stream stream) const;
  /// One that does not wait for the null stream.
  Result<Stream> make_stream() const;
  void destroy_stream(Stream stream) const noexcept;
  Result<Event> make_event() const;
  void destroy(Event event) const noexcept;
  /// Ok when what the stream had been given before `record` is done; "again" until then.
  Status query(Event event) const;

  /// Memory of the host that the GPU reads and writes by itself.
  Result<std::byte*> allocate_pinned(std::size_t bytes) const;
  void free_pinned(std::byte* memory) const noexcept;
  /// The address under which the GPU reaches memory of the host, which it may from now on.
  Result<Address> pin(std::byte* memory, std::size_t bytes) const;
  void unpin(std::byte* memory) const noexcept;

  // Memory of the GPU, which other processes can be given.
  Result<std::byte*> allocate(std::size_t bytes) const;
  void free(std::byte* memory) const noexcept;
  Result<IpcHandle> share(const std::byte* memory) const;
  /// Memory of another process, perhaps on another GPU. Not of this process: the driver refuses
  /// that.
  Result<std::byte*> open_shared(const IpcHandle& handle) const;
  /// May wait for what the GPU does.
  void close_shared(std::byte* memory) const noexcept;
  /// That of which `memory` is a part.
  Result<Allocation> allocation_of(const void* memory) const;

  /// For good.
  Result<Module> load_module(const void* image) const;
  Result<Function> load_function(Module module, const std::string& name) const;

 private:
  Gpu(const DriverTable& driver, int ordinal) : driver_(driver), ordinal_(ordinal) {}

  /// Lets this thread do what would end a capture of another one.
  class BesideCapture {
   public:
    explicit BesideCapture(const Gpu& gpu);
    ~BesideCapture();
    BesideCapture(const BesideCapture&) = delete;
    BesideCapture& operator=(const BesideCapture&) = delete;

   private:
    const DriverTable& driver_;
    int mode_;
  };

  Status take_hold();
  Status check(int error, const char* function) const;

  const DriverTable driver_;
  const int ordinal_;
  int device_ = 0;
  int processors_ = 0;
  Context context_ = nullptr;  ///< null: not retained
  Identity identity_{};
};

}  // namespace smddp::cuda
