#include "provider/nccl/convert.h"

#include <doctest/doctest.h>

namespace smddp::nccl {
namespace {

TEST_CASE("numbers are reduced as what they are") {
  const auto half = reduced_as(DType::kBFloat16, ReduceOp::kAverage);
  REQUIRE(half.has_value());
  CHECK(half->type == DataType::kBFloat16);
  CHECK(half->op == RedOp::kAverage);
  const auto whole = reduced_as(DType::kUint64, ReduceOp::kMin);
  REQUIRE(whole.has_value());
  CHECK(whole->type == DataType::kUint64);
  CHECK(whole->op == RedOp::kMin);
}

TEST_CASE("booleans: their or is the maximum, their and the minimum") {
  for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kOr})
    CHECK(reduced_as(DType::kBool, op)->op == RedOp::kMax);
  for (const ReduceOp op : {ReduceOp::kProduct, ReduceOp::kMin, ReduceOp::kAnd})
    CHECK(reduced_as(DType::kBool, op)->op == RedOp::kMin);
  CHECK_FALSE(reduced_as(DType::kBool, ReduceOp::kXor).has_value());
  CHECK_FALSE(reduced_as(DType::kBool, ReduceOp::kAverage).has_value());
}

TEST_CASE("what NCCL has no reduction for") {
  CHECK_FALSE(reduced_as(DType::kInt16, ReduceOp::kSum).has_value());
  CHECK_FALSE(reduced_as(DType::kInt32, ReduceOp::kXor).has_value());
  CHECK_FALSE(reduced_as(DType::kComplex64, ReduceOp::kSum).has_value());
}

TEST_CASE("float8") {
  CHECK(reduced_as(DType::kFloat8E4m3fn, ReduceOp::kSum)->type == DataType::kFloat8E4m3);
  CHECK(reduced_as(DType::kFloat8E5m2, ReduceOp::kMax)->type == DataType::kFloat8E5m2);
  CHECK_FALSE(reduced_as(DType::kFloat8E8m0fnu, ReduceOp::kSum).has_value());
}

}  // namespace
}  // namespace smddp::nccl
