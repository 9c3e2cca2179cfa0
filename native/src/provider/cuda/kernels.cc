#include "provider/cuda/kernels.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/find_symbol.h"

namespace smddp::cuda {
namespace {

constexpr int kCopyBytes = 4;                // of a thread, at least
constexpr unsigned kThreads = 512;           // of a block
constexpr unsigned kBlocksPerProcessor = 2;  // enough loads on their way to keep the memory busy

/// For bool "or" and "and" are what sums and products are.
ReduceOp op_on_bool(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
    case ReduceOp::kMax:
      return ReduceOp::kOr;
    case ReduceOp::kProduct:
    case ReduceOp::kMin:
      return ReduceOp::kAnd;
    default:
      return op;
  }
}

}  // namespace

Result<KernelImage> load_kernel_image(const std::string& path) {
  if (path.empty()) {
    return Status{StatusCode::kConfig,
                  "smddp was built without kernels for GPUs: install it where nvcc is"};
  }
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  KernelsFunction kernels = nullptr;
  if (library == nullptr || !find_symbol(library, kKernelsFunction, kernels))
    return Status{StatusCode::kConfig, std::string{"no kernels for GPUs: "} + ::dlerror()};
  const KernelImage image = kernels();
  if (image.version == kKernelsVersion) return image;
  return Status{StatusCode::kConfig, path + " holds kernels of another smddp: build smddp again"};
}

// All at once: a driver that loads a kernel when it is first launched may wait for all streams
// then, and one of these may wait for another rank.
Result<std::unique_ptr<Kernels>> Kernels::load(const std::shared_ptr<const Gpu>& gpu,
                                               const KernelImage& image) {
  Result<Module> module = gpu->load_module(image.image);
  if (!module.ok()) return module.status();
  std::unique_ptr<Kernels> kernels{new Kernels{gpu}};
  for (int number = 0; number < kDTypeCount; ++number) {
    const auto dtype = static_cast<DType>(number);
    if (!can_reduce(dtype, ReduceOp::kSum)) continue;
    const Result<Function> kernel =
        gpu->load_function(module.value(), "reduce_" + std::string{name_of(dtype)});
    if (!kernel.ok()) return kernel.status();
    kernels->reduce_[static_cast<std::size_t>(number)] = kernel.value();
  }
  const Result<Function> copy = gpu->load_function(module.value(), "copy_bytes");
  if (!copy.ok()) return copy.status();
  kernels->copy_ = copy.value();
  return kernels;
}

Result<const Kernels*> Kernels::on(const std::shared_ptr<const Gpu>& gpu,
                                   const KernelImage& image) {
  using Key = std::pair<int, const void*>;
  static std::mutex& mutex = *new std::mutex;
  static auto& known = *new std::map<Key, std::unique_ptr<Kernels>>;
  const std::lock_guard lock{mutex};
  std::unique_ptr<Kernels>& kernels = known[Key{gpu->ordinal(), image.image}];
  if (kernels == nullptr) {
    Result<std::unique_ptr<Kernels>> loaded = load(gpu, image);
    if (!loaded.ok()) return loaded.status();
    kernels = std::move(loaded).value();
  }
  return kernels.get();
}

bool Kernels::can_reduce(DType dtype, ReduceOp op) noexcept {
  const bool is_float8 = dtype == DType::kFloat8E4m3fn || dtype == DType::kFloat8E5m2;
  return is_defined(op, is_float8 ? DType::kFloat16 : dtype);
}

Status Kernels::reduce(DType dtype, ReduceArguments call, Stream stream) const {
  if (dtype == DType::kBool) call.op = op_on_bool(call.op);
  return launch(reduce_.at(static_cast<std::size_t>(dtype)),
                lanes_of(size_of(dtype), is_floating(dtype)), call, stream);
}

Status Kernels::copy(ReduceArguments call, Stream stream) const {
  return launch(copy_, kCopyBytes, call, stream);
}

Status Kernels::launch(Function kernel, int lanes, ReduceArguments& call, Stream stream) const {
  if (call.count == 0 || call.targets == 0) return {};
  const std::size_t needed = call.count / (static_cast<std::size_t>(lanes) * kThreads) + 1;
  const std::size_t most = kBlocksPerProcessor * static_cast<std::size_t>(gpu_->processors());
  return gpu_->launch(kernel, static_cast<unsigned>(std::min(needed, most)), kThreads, &call,
                      stream);
}

}  // namespace smddp::cuda
