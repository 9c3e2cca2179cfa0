#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/MemoryOverlap.h>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/extension.h>

#include "errors.h"

namespace smddp::torch_adapter {

// The engine reads and writes elements that lie one after the other. Tensors that are laid out in
// another way get memory of their own for the time of the operation.

using Tensors = std::vector<at::Tensor>;

/// What the engine has written, and the caller's tensor where it belongs.
struct Copy {
  at::Tensor from;
  at::Tensor to;

  void run() const {
    const at::NoGradGuard no_grad;
    to.detach().copy_(from);
  }
};
using Copies = std::vector<Copy>;

/// Whether memory holds the elements as they are, not to be conjugated or negated when read.
inline bool is_stored_as_read(const at::Tensor& tensor) {
  return !tensor.is_conj() && !tensor.is_neg();
}

/// A contiguous tensor with the elements of `tensor`: itself, where it is one.
inline at::Tensor readable(const at::Tensor& tensor) {
  if (tensor.is_contiguous() && is_stored_as_read(tensor)) return tensor;
  const at::NoGradGuard no_grad;
  return tensor.detach().resolve_conj().resolve_neg().contiguous();
}

inline void check_writable(const at::Tensor& tensor, std::string_view caller) {
  check(at::has_internal_overlap(tensor) != at::MemOverlap::Yes, [&] {
    return std::string{caller} +
           ": several elements of the output share one place in memory; use .clone()";
  });
}

/// Contiguous memory for what `tensor` gets: its own, or new memory that `copies` brings there.
inline at::Tensor writable(const at::Tensor& tensor, std::string_view caller, Copies& copies) {
  if (tensor.is_contiguous() && is_stored_as_read(tensor)) return tensor;
  check_writable(tensor, caller);
  copies.push_back({at::empty(tensor.sizes(), tensor.options().requires_grad(false)), tensor});
  return copies.back().from;
}

/// The same with the elements of `tensor` in it, for collectives that treat all elements alike: any
/// layout without holes has its own meaning on all ranks.
inline at::Tensor in_place(const at::Tensor& tensor, std::string_view caller, Copies& copies) {
  if (tensor.is_non_overlapping_and_dense() && is_stored_as_read(tensor)) return tensor;
  const at::Tensor memory = writable(tensor, caller, copies);
  const at::NoGradGuard no_grad;
  return memory.copy_(tensor);
}

/// One new tensor with room for all elements of a list, and each tensor's piece of it.
struct Flat {
  at::Tensor whole;
  Tensors pieces;
};

inline Flat flat_for(const Tensors& tensors) {
  std::int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += tensor.numel();
  Flat flat{at::empty({total}, tensors.front().options().requires_grad(false)), {}};
  std::int64_t offset = 0;
  for (const at::Tensor& tensor : tensors) {
    flat.pieces.push_back(flat.whole.narrow(0, offset, tensor.numel()).view(tensor.sizes()));
    offset += tensor.numel();
  }
  return flat;
}

/// The elements of all tensors one after the other.
inline at::Tensor flattened(const Tensors& tensors) {
  const at::NoGradGuard no_grad;
  const Flat flat = flat_for(tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) flat.pieces[i].copy_(tensors[i]);
  return flat.whole;
}

/// Memory for what the tensors get, one after the other, which `copies` brings there.
inline at::Tensor flat_output(const Tensors& tensors, std::string_view caller, Copies& copies) {
  const Flat flat = flat_for(tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    check_writable(tensors[i], caller);
    copies.push_back({flat.pieces[i], tensors[i]});
  }
  return flat.whole;
}

/// Complex numbers as pairs of real ones, where the operation treats these alike.
inline at::Tensor as_real(const at::Tensor& tensor, const c10d::ReduceOp& op) {
  if (!tensor.is_complex() || !c10d::isComplexViewAsRealAllowed(op)) return tensor;
  const at::NoGradGuard no_grad;
  return at::view_as_real(tensor.resolve_conj());
}

/// What this rank brings to a reduction: the tensor, or a copy that is scaled as PREMUL_SUM says.
inline at::Tensor contribution(const at::Tensor& tensor, const c10d::ReduceOp& op,
                               std::string_view caller) {
  if (op.op_ != c10d::ReduceOp::PREMUL_SUM) return as_real(tensor, op);
  check(tensor.is_floating_point() || tensor.is_complex(), [&] {
    return std::string{caller} + ": ReduceOp.PREMUL_SUM needs floating-point tensors, got " +
           c10::toString(tensor.scalar_type());
  });
  check(op.supplement_.defined(), [&] {
    return std::string{caller} +
           ": ReduceOp.PREMUL_SUM has no factor; make it with "
           "torch.distributed._make_nccl_premul_sum(factor)";
  });
  const auto& supplement = static_cast<const c10d::PreMulSumSupplement&>(*op.supplement_);
  const at::Scalar factor = supplement.tensor_factor.defined() ? supplement.tensor_factor.item()
                                                               : supplement.double_factor;
  const at::NoGradGuard no_grad;
  return as_real(tensor.mul(factor), op);
}

}  // namespace smddp::torch_adapter
