#include "engine/stand_in.h"

#include <cstdint>
#include <cstring>
#include <limits>

#include <doctest/doctest.h>

namespace smddp::test {
namespace {

template <class T>
T brought(ReduceOp op, DType dtype) {
  const Request request =
      make_stand_in({.collective = Collective::kAllReduce, .dtype = dtype, .op = op, .count = 3});
  CHECK(request.count == 3);
  T values[3];
  std::memcpy(values, request.in, sizeof(values));
  CHECK(std::memcmp(&values[0], &values[2], sizeof(T)) == 0);
  return values[0];
}

TEST_CASE("stand-in: brings what changes no result") {
  using Int8 = std::numeric_limits<std::int8_t>;
  using UInt32 = std::numeric_limits<std::uint32_t>;
  using Int64 = std::numeric_limits<std::int64_t>;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(brought<double>(ReduceOp::kAverage, DType::kFloat64) == 0);
  CHECK(brought<double>(ReduceOp::kProduct, DType::kFloat64) == 1);
  CHECK(brought<double>(ReduceOp::kMin, DType::kFloat64) == kInfinity);
  CHECK(brought<double>(ReduceOp::kMax, DType::kFloat64) == -kInfinity);
  CHECK(brought<float>(ReduceOp::kProduct, DType::kFloat32) == 1);
  CHECK(brought<float>(ReduceOp::kMax, DType::kFloat32) == -kInfinity);
  CHECK(brought<std::uint16_t>(ReduceOp::kProduct, DType::kFloat16) == 0x3c00);
  CHECK(brought<std::uint16_t>(ReduceOp::kMin, DType::kFloat16) == 0x7c00);
  CHECK(brought<std::uint16_t>(ReduceOp::kProduct, DType::kBFloat16) == 0x3f80);
  CHECK(brought<std::uint16_t>(ReduceOp::kMax, DType::kBFloat16) == 0xff80);
  CHECK(brought<std::int8_t>(ReduceOp::kMin, DType::kInt8) == Int8::max());
  CHECK(brought<std::int8_t>(ReduceOp::kMax, DType::kInt8) == Int8::min());
  CHECK(brought<std::int64_t>(ReduceOp::kMin, DType::kInt64) == Int64::max());
  CHECK(brought<std::int64_t>(ReduceOp::kMax, DType::kInt64) == Int64::min());
  CHECK(brought<std::uint32_t>(ReduceOp::kMin, DType::kUint32) == UInt32::max());
  CHECK(brought<std::uint32_t>(ReduceOp::kMax, DType::kUint32) == 0);
  CHECK(brought<std::uint32_t>(ReduceOp::kAnd, DType::kUint32) == UInt32::max());
  CHECK(brought<std::uint32_t>(ReduceOp::kXor, DType::kUint32) == 0);
  CHECK(brought<std::uint8_t>(ReduceOp::kMin, DType::kBool) == 1);
  CHECK(brought<std::uint8_t>(ReduceOp::kMax, DType::kBool) == 0);
  CHECK(brought<std::uint8_t>(ReduceOp::kAnd, DType::kBool) == 1);
}

TEST_CASE("stand-in: only where nothing of this rank is needed") {
  const auto can = [](Collective collective, Rank root) {
    return can_stand_in({.collective = collective, .root = root, .count = 1}, 2);
  };
  CHECK(can(Collective::kAllReduce, 0));
  CHECK(can(Collective::kBarrier, 0));
  CHECK(can(Collective::kBroadcast, 1));
  CHECK_FALSE(can(Collective::kBroadcast, 2));
  CHECK_FALSE(can(Collective::kAllGather, 0));
  CHECK_FALSE(can(Collective::kReduceScatter, 0));
  CHECK_FALSE(can(Collective::kAllToAll, 0));
}

}  // namespace
}  // namespace smddp::test
