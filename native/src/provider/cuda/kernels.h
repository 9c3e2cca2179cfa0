#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "smddp/status.h"
#include "smddp/types.h"

#include "provider/cuda/gpu.h"
#include "provider/cuda/kernel_arguments.h"

namespace smddp::cuda {

/// The image that the shared object at `path` carries, which stays loaded. kConfig: there is none,
/// or one of another version of smddp.
Result<KernelImage> load_kernel_image(const std::string& path);

/// Our kernels on one GPU. Any thread may call any function.
class Kernels {
 public:
  /// Those of the process, which stay: loading them may wait for all streams, and these for other
  /// ranks. kSystem: the driver cannot use the image on this GPU.
  static Result<const Kernels*> on(const std::shared_ptr<const Gpu>& gpu, const KernelImage& image);
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;

  /// Whether there is a kernel for it.
  static bool can_reduce(DType dtype, ReduceOp op) noexcept;
  /// What ReduceArguments says, after what the stream was given before.
  Status reduce(DType dtype, ReduceArguments call, Stream stream) const;
  /// The same of bytes from one source.
  Status copy(ReduceArguments call, Stream stream) const;

 private:
  explicit Kernels(std::shared_ptr<const Gpu> gpu) : gpu_(std::move(gpu)) {}
  static Result<std::unique_ptr<Kernels>> load(const std::shared_ptr<const Gpu>& gpu,
                                               const KernelImage& image);

  /// `lanes`: elements that a thread takes at once.
  Status launch(Function kernel, int lanes, ReduceArguments& call, Stream stream) const;

  const std::shared_ptr<const Gpu> gpu_;
  Function copy_ = nullptr;
  std::array<Function, kDTypeCount> reduce_{};  ///< null where there is none
};

}  // namespace smddp::cuda
