#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "reduce/oracle.h"

namespace smddp::test {

inline constexpr DType kAllDTypes[] = {
    DType::kFloat64, DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kInt8,
    DType::kInt16,   DType::kInt32,   DType::kInt64,   DType::kUint8,    DType::kUint16,
    DType::kUint32,  DType::kUint64,  DType::kBool};
inline constexpr ReduceOp kAllOps[] = {ReduceOp::kSum, ReduceOp::kProduct, ReduceOp::kMin,
                                       ReduceOp::kMax, ReduceOp::kAnd,     ReduceOp::kOr,
                                       ReduceOp::kXor};

/// Distinct random sources of `count` elements. Floats: numbers of near and of far magnitudes, some
/// zeros, infinities, subnormals and NaNs. Bools: any byte, half of them 0.
std::vector<Bytes> random_sources(DType dtype, std::size_t source_count, std::size_t count,
                                  std::mt19937_64& random);

/// Seed of this run: SMDDP_TEST_SEED or a random one. Prints it, once per test that asks.
std::uint64_t test_seed();

}  // namespace smddp::test
