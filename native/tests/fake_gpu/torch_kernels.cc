// Operations of the pretended torch device. What is missing here, the CPU does: device memory is
// ordinary memory, but work on it has an order, so the CPU first waits for the current stream.

#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include <ATen/EmptyTensor.h>
#include <ATen/Tensor.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_local_scalar_dense_native.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_as_complex_native.h>
#include <ATen/ops/view_as_real_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>

#include "torch_driver.h"

namespace fake_gpu {
namespace {

bool on_device(const at::Tensor& tensor) { return tensor.is_privateuseone(); }

DevicePointer address(const at::Tensor& tensor) {
  return reinterpret_cast<DevicePointer>(tensor.const_data_ptr());
}

/// The same memory as a CPU tensor.
at::Tensor as_cpu(const at::Tensor& tensor) {
  if (!on_device(tensor)) return tensor;
  auto same = at::from_blob(const_cast<void*>(tensor.const_data_ptr()), tensor.sizes(),
                            tensor.strides(), tensor.options().device(at::kCPU));
  same._set_conj(tensor.is_conj());
  same._set_neg(tensor.is_neg());
  return same;
}

void wait_for_stream(const at::Tensor& tensor) {
  if (on_device(tensor)) synchronize(current_stream(tensor.device().index()));
}

/// Whether one copy of bytes does it.
bool alike(const at::Tensor& source, const at::Tensor& target) {
  return source.dtype() == target.dtype() && source.sizes() == target.sizes() &&
         source.strides() == target.strides() && source.is_non_overlapping_and_dense() &&
         source.is_conj() == target.is_conj() && source.is_neg() == target.is_neg() &&
         (!on_device(source) || !on_device(target) || source.device() == target.device());
}

bool keep_until_done(const at::Tensor& tensor, DriverStream stream) {
  return fake_gpu::keep_until_done(tensor.storage().data_ptr(), stream);
}

/// Queues the copy; false when the caller must wait for it, as nothing else keeps the memory.
bool queue_copy(const at::Tensor& source, const at::Tensor& target, DriverStream stream) {
  const std::size_t bytes = source.nbytes();
  if (on_device(source) && on_device(target))
    check(driver().copy_on_device(address(target), address(source), bytes, stream), "cuMemcpyDtoD");
  else if (on_device(source))
    check(driver().copy_to_host(target.mutable_data_ptr(), address(source), bytes, stream),
          "cuMemcpyDtoH");
  else
    check(driver().copy_to_device(address(target), source.const_data_ptr(), bytes, stream),
          "cuMemcpyHtoD");
  const bool kept = keep_until_done(source, stream);
  return keep_until_done(target, stream) && kept;
}

/// Queues a copy from memory that nobody else has or will change.
void queue_own(at::Tensor own, const at::Tensor& target, DriverStream stream) {
  static_cast<void>(queue_copy(own, target, stream));
  const auto drop = [](void* kept) { delete static_cast<at::Tensor*>(kept); };
  check(driver().after(stream, drop, new at::Tensor(std::move(own))), "fake_cuda_after");
}

at::Tensor copy_from(const at::Tensor& source, const at::Tensor& target, bool non_blocking) {
  if (target.numel() == 0) return target;
  if (!alike(source, target)) {
    wait_for_stream(source);
    wait_for_stream(target);
    as_cpu(target).copy_(as_cpu(source));
    return target;
  }
  const auto index = (on_device(target) ? target : source).device().index();
  const c10::Stream stream = current_stream(index);
  const InContext context(index);
  if (non_blocking && !on_device(source) && driver().memory_kind(source.const_data_ptr()) != 2) {
    // As CUDA does: the host may change memory that is not pinned at once.
    queue_own(source.clone(), target, native(stream));
    return target;
  }
  const bool kept = queue_copy(source, target, native(stream));
  if (!kept || (!non_blocking && on_device(source) != on_device(target))) synchronize(stream);
  return target;
}

at::Tensor copy_from_and_resize(const at::Tensor& source, const at::Tensor& target) {
  target.resize_(source.sizes());
  return copy_from(source, target, false);
}

at::Tensor& fill(at::Tensor& self, const at::Scalar& value) {
  if (self.numel() == 0) return self;
  if (!self.is_non_overlapping_and_dense()) {
    wait_for_stream(self);
    as_cpu(self).fill_(value);
    return self;
  }
  const auto index = self.device().index();
  const InContext context(index);
  auto values = at::full({self.numel()}, value, self.options().device(at::kCPU));
  queue_own(std::move(values), self, native(current_stream(index)));
  return self;
}

at::Tensor& zero(at::Tensor& self) { return fill(self, 0); }

at::Scalar local_scalar_dense(const at::Tensor& self) {
  wait_for_stream(self);
  return at::native::_local_scalar_dense_cpu(as_cpu(self));
}

at::Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout> /*layout*/, std::optional<at::Device> device,
                 std::optional<bool> /*pin*/, std::optional<at::MemoryFormat> format) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_generic(size, device_allocator(),
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride,
                         std::optional<at::ScalarType> type, std::optional<at::Layout> /*layout*/,
                         std::optional<at::Device> device, std::optional<bool> /*pin*/) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_strided_generic(size, stride, device_allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(type));
}

const at::Tensor& resize(const at::Tensor& self, c10::IntArrayRef size,
                         std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(self.device());
  return at::native::resize_(self, size, format);
}

at::Tensor& set_nothing(at::Tensor& self) {
  const c10::Storage none(c10::Storage::use_byte_size_t(), 0, device_allocator(), true);
  return at::native::set_storage_cpu_(self, none, 0, {0}, {});
}

void record_stream(at::Tensor& self, c10::Stream stream) {
  use_on(self.storage().data_ptr(), stream);
}

void on_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  synchronize_current_streams();
  at::native::cpu_fallback(operation, stack);
}

// Convolutions, for which torch has no detour over the CPU.

using Sizes = c10::IntArrayRef;

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, Sizes stride, Sizes padding,
                       Sizes dilation, bool transposed, Sizes output_padding, int64_t groups) {
  const auto bias_there = bias && bias->defined() ? std::optional(bias->cpu()) : std::nullopt;
  return at::convolution(input.cpu(), weight.cpu(), bias_there, stride, padding, dilation,
                         transposed, output_padding, groups)
      .to(input.device());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, Sizes stride,
    Sizes padding, Sizes dilation, bool transposed, Sizes output_padding, int64_t groups,
    std::array<bool, 3> wanted) {
  const int64_t channels = gradient.size(1);
  auto [of_input, of_weight, of_bias] =
      at::convolution_backward(gradient.cpu(), input.cpu(), weight.cpu(), Sizes(channels), stride,
                               padding, dilation, transposed, output_padding, groups, wanted);
  const auto back = [&](const at::Tensor& result) {
    return result.defined() ? result.to(input.device()) : result;
  };
  return {back(of_input), back(of_weight), back(of_bias)};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", TORCH_FN(empty));
  library.impl("empty_strided", TORCH_FN(empty_strided));
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  library.impl("unfold", TORCH_FN(at::native::unfold));
  library.impl("view_as_real", TORCH_FN(at::native::view_as_real));
  library.impl("view_as_complex", TORCH_FN(at::native::view_as_complex));
  library.impl("resize_", TORCH_FN(resize));
  library.impl("_copy_from", TORCH_FN(copy_from));
  library.impl("_copy_from_and_resize", TORCH_FN(copy_from_and_resize));
  library.impl("fill_.Scalar", TORCH_FN(fill));
  library.impl("zero_", TORCH_FN(zero));
  library.impl("_local_scalar_dense", TORCH_FN(local_scalar_dense));
  library.impl("set_", TORCH_FN(set_nothing));
  library.impl("set_.source_Tensor", TORCH_FN(at::native::set_tensor_));
  library.impl("set_.source_Storage",
               static_cast<at::Tensor& (*)(at::Tensor&, at::Storage)>(at::native::set_));
  library.impl("set_.source_Storage_storage_offset", TORCH_FN(at::native::set_storage_cpu_));
  library.impl("record_stream", TORCH_FN(record_stream));
  library.impl("convolution_overrideable", TORCH_FN(convolution));
  library.impl("convolution_backward_overrideable", TORCH_FN(convolution_backward));
  // Torch would otherwise derive these from their variants with `out`, which warn about its shape.
  library.impl("mse_loss", torch::CppFunction::makeFromBoxedFunction<&on_cpu>());
  library.impl("smooth_l1_loss", torch::CppFunction::makeFromBoxedFunction<&on_cpu>());
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_cpu>());
}

// It reads these bits itself; torch would otherwise copy such a tensor to take them away.
TORCH_LIBRARY_IMPL(aten, Conjugate, library) {
  library.impl("_copy_from", torch::CppFunction::makeFallthrough());
}
TORCH_LIBRARY_IMPL(aten, Negative, library) {
  library.impl("_copy_from", torch::CppFunction::makeFallthrough());
}

// Autocast is accepted, and casts nothing.
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFallthrough());
}

}  // namespace
}  // namespace fake_gpu
