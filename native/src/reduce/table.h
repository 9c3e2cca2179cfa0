#pragma once

// The table of all kernels of one instruction set.

#include "reduce/dispatch.h"
#include "reduce/tree.h"

namespace smddp::reduce {
namespace {  // NOLINT(google-build-namespaces): see pack.h

template <class Isa>
class TableBuilder {
 public:
  static consteval KernelTable build(std::string_view name) {
    TableBuilder builder(name);
    builder.template add_arithmetic<Plain<double>>(DType::kFloat64);
    builder.template add_arithmetic<Plain<float>>(DType::kFloat32);
    builder.template add_arithmetic<Float16>(DType::kFloat16);
    builder.template add_arithmetic<BFloat16>(DType::kBFloat16);
    builder.template add_integer<std::int8_t>(DType::kInt8);
    builder.template add_integer<std::int16_t>(DType::kInt16);
    builder.template add_integer<std::int32_t>(DType::kInt32);
    builder.template add_integer<std::int64_t>(DType::kInt64);
    builder.template add_integer<std::uint8_t>(DType::kUint8);
    builder.template add_integer<std::uint16_t>(DType::kUint16);
    builder.template add_integer<std::uint32_t>(DType::kUint32);
    builder.template add_integer<std::uint64_t>(DType::kUint64);
    builder.add_bool();
    builder.template add_partial<Float16>(DType::kFloat16);
    builder.template add_partial<BFloat16>(DType::kBFloat16);
    return builder.table_;
  }

 private:
  consteval explicit TableBuilder(std::string_view name) : table_{name, {}, {}, {}} {}

  template <class Element, class Op>
  consteval void add(DType dtype, ReduceOp op) {
    table_.kernels[static_cast<std::size_t>(dtype)][static_cast<std::size_t>(op)] =
        &reduce_kernel<Isa, Element, Element, Op>;
  }

  /// Into sums that are kept in float32, and of such.
  template <class Element>
  consteval void add_partial(DType dtype) {
    add_partial<Element, Sum>(dtype, ReduceOp::kSum);
    add_partial<Element, Product>(dtype, ReduceOp::kProduct);
  }

  template <class Element, class Op>
  consteval void add_partial(DType dtype, ReduceOp op) {
    const auto row = static_cast<std::size_t>(dtype);
    const auto column = static_cast<std::size_t>(op);
    table_.widening[row][column] = &reduce_kernel<Isa, Element, Plain<float>, Op>;
    table_.narrowing[row][column] = &reduce_kernel<Isa, Plain<float>, Element, Op>;
  }

  template <class Element>
  consteval void add_arithmetic(DType dtype) {
    add<Element, Sum>(dtype, ReduceOp::kSum);
    add<Element, Product>(dtype, ReduceOp::kProduct);
    add<Element, Min>(dtype, ReduceOp::kMin);
    add<Element, Max>(dtype, ReduceOp::kMax);
  }

  template <class T>
  consteval void add_integer(DType dtype) {
    using Bits =
        Plain<std::make_unsigned_t<T>>;  // the sign matters only to an order and a division
    add<Plain<T>, Sum>(dtype, ReduceOp::kSum);
    add<Plain<T>, Min>(dtype, ReduceOp::kMin);
    add<Plain<T>, Max>(dtype, ReduceOp::kMax);
    add<Bits, Product>(dtype, ReduceOp::kProduct);
    add<Bits, And>(dtype, ReduceOp::kAnd);
    add<Bits, Or>(dtype, ReduceOp::kOr);
    add<Bits, Xor>(dtype, ReduceOp::kXor);
  }

  consteval void add_bool() {
    add<Bool, Or>(DType::kBool, ReduceOp::kSum);
    add<Bool, And>(DType::kBool, ReduceOp::kProduct);
    add<Bool, And>(DType::kBool, ReduceOp::kMin);
    add<Bool, Or>(DType::kBool, ReduceOp::kMax);
    add<Bool, And>(DType::kBool, ReduceOp::kAnd);
    add<Bool, Or>(DType::kBool, ReduceOp::kOr);
    add<Bool, Xor>(DType::kBool, ReduceOp::kXor);
  }

  KernelTable table_;
};

}  // namespace
}  // namespace smddp::reduce
