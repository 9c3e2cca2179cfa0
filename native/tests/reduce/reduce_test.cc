// Every operation on every dtype against the oracle, with every instruction set of this machine.

#include "reduce/reduce.h"

#include <cstring>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "reduce/dispatch.h"
#include "reduce/oracle.h"
#include "reduce/samples.h"

namespace smddp {
namespace {

using test::Bytes;
using test::Reduction;

constexpr std::byte kUntouched{0xa5};

/// Copies of the sources of which none is aligned better than its elements are.
class Placed {
 public:
  Placed(const std::vector<Bytes>& sources, std::size_t source_count, std::size_t element_size) {
    for (std::size_t k = 0; k < source_count; ++k) {
      const std::size_t offset = (k % 7 + 1) * element_size;
      storage_.emplace_back(offset);
      storage_.back().insert(storage_.back().end(), sources[k].begin(), sources[k].end());
      pointers_.push_back(storage_.back().data() + offset);
    }
  }
  std::span<const std::byte* const> pointers() const {
    return {pointers_.data(), pointers_.size()};
  }
  std::byte* mutable_source(std::size_t k) { return const_cast<std::byte*>(pointers_[k]); }

 private:
  std::vector<Bytes> storage_;
  std::vector<const std::byte*> pointers_;
};

reduce::KernelArgs args_for(const Reduction& reduction, std::span<const std::byte* const> sources,
                            std::span<std::byte* const> targets, std::size_t count) {
  return {sources.data(), sources.size(), targets.data(), targets.size(), count, reduction.divisor};
}

/// Index of the first of `count` elements that differ, or `count`.
std::size_t first_difference(const std::byte* got, const std::byte* want, std::size_t count,
                             std::size_t size) {
  std::size_t i = 0;
  while (i < count && std::memcmp(got + i * size, want + i * size, size) == 0) ++i;
  return i;
}

/// Runs one reduction with each instruction set into a target between two guards.
void check_all_kernels(const Reduction& reduction, const Placed& placed, const Bytes& want,
                       std::size_t count) {
  const std::size_t size = size_of(reduction.target_dtype());
  CAPTURE(name_of(reduction.dtype));
  CAPTURE(name_of(reduction.target_dtype()));
  CAPTURE(name_of(reduction.op));
  CAPTURE(reduction.divisor);
  CAPTURE(placed.pointers().size());
  CAPTURE(count);
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    CAPTURE(table->name);
    Bytes target((count + 2) * size, kUntouched);
    std::byte* const inside = &target[size];
    const reduce::Kernel kernel =
        table->find({reduction.dtype, reduction.target_dtype()}, reduction.op);
    kernel(args_for(reduction, placed.pointers(), {&inside, 1}, count));
    REQUIRE(first_difference(inside, want.data(), count, size) == count);
    REQUIRE(target.front() == kUntouched);
    REQUIRE(target[size - 1] == kUntouched);
    REQUIRE(target[(count + 1) * size] == kUntouched);
  }
}

TEST_CASE("every dtype, operation, number of sources and count") {
  std::mt19937_64 random(test::test_seed());
  for (const DType dtype : test::kAllDTypes) {
    const std::vector<Bytes> sources = test::random_sources(dtype, 33, 4099, random);
    for (const ReduceOp op : test::kAllOps) {
      if (!is_defined(op, dtype)) continue;
      for (const std::size_t source_count : {1, 2, 3, 4, 5, 7, 8, 16, 33}) {
        const Placed placed(sources, source_count, size_of(dtype));
        const Bytes want = test::expected_result({dtype, op}, sources, source_count);
        for (const std::size_t count : {0, 1, 2, 7, 64, 1000, 4099}) {
          check_all_kernels({dtype, op}, placed, want, count);
        }
      }
    }
  }
}

TEST_CASE("division of a sum") {
  std::mt19937_64 random(test::test_seed());
  constexpr std::size_t kCount = 20011;  // several blocks of every dtype
  for (const DType dtype : test::kAllDTypes) {
    if (dtype == DType::kBool) continue;
    const std::vector<Bytes> sources = test::random_sources(dtype, 9, kCount, random);
    for (const std::size_t source_count : {1, 2, 3, 8, 9}) {
      const Placed placed(sources, source_count, size_of(dtype));
      for (const int divisor : {0, 1, 2, 3, 8, 200, 70000}) {
        const Reduction reduction = {dtype, ReduceOp::kSum, divisor};
        const Bytes want = test::expected_result(reduction, sources, source_count);
        for (const std::size_t count : {std::size_t{3}, kCount})
          check_all_kernels(reduction, placed, want, count);
      }
    }
  }
}

TEST_CASE("several blocks of partial results") {
  std::mt19937_64 random(test::test_seed());
  constexpr std::size_t kCount = 20011;
  for (const DType dtype : test::kAllDTypes) {
    const std::vector<Bytes> sources = test::random_sources(dtype, 6, kCount, random);
    const Placed placed(sources, 6, size_of(dtype));
    for (const int divisor : {1, 6}) {
      if (dtype == DType::kBool && divisor > 1) continue;
      const Reduction reduction = {dtype, ReduceOp::kSum, divisor};
      check_all_kernels(reduction, placed, test::expected_result(reduction, sources, 6), kCount);
    }
  }
}

TEST_CASE("16-bit floats into sums that are kept in float32, and those into 16 bits") {
  std::mt19937_64 random(test::test_seed());
  constexpr std::size_t kCount = 4099;
  for (const DType narrow : {DType::kFloat16, DType::kBFloat16}) {
    for (const auto& [source, target] :
         {ReduceTypes{narrow, DType::kFloat32}, ReduceTypes{DType::kFloat32, narrow}}) {
      const std::vector<Bytes> sources = test::random_sources(source, 17, kCount, random);
      for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kProduct}) {
        for (const std::size_t source_count : {1, 2, 3, 5, 8, 17}) {
          const Placed placed(sources, source_count, size_of(source));
          for (const int divisor : {1, 3, 8}) {
            if (op != ReduceOp::kSum && divisor > 1) continue;
            const Reduction reduction = {source, op, divisor, target};
            const Bytes want = test::expected_result(reduction, sources, source_count);
            for (const std::size_t count : {0, 1, 7, 1000, 4099})
              check_all_kernels(reduction, placed, want, count);
          }
        }
      }
    }
  }
}

TEST_CASE("a sum cut into two that are kept in float32 is the whole one") {
  std::mt19937_64 random(test::test_seed());
  constexpr std::size_t kCount = 3001;
  for (const DType narrow : {DType::kFloat16, DType::kBFloat16}) {
    const std::vector<Bytes> sources = test::random_sources(narrow, 8, kCount, random);
    const Placed placed(sources, 8, 2);
    std::vector<Bytes> halves(2, Bytes(4 * kCount));
    std::byte* const targets[] = {halves[0].data(), halves[1].data()};
    const std::byte* const partials[] = {halves[0].data(), halves[1].data()};
    for (std::size_t half = 0; half < 2; ++half) {
      reduce_sources({narrow, DType::kFloat32}, ReduceOp::kSum, 1,
                     placed.pointers().subspan(4 * half, 4), {&targets[half], 1}, kCount);
    }
    Bytes got(2 * kCount);
    std::byte* const result = got.data();
    reduce_sources({DType::kFloat32, narrow}, ReduceOp::kSum, 8, partials, {&result, 1}, kCount);
    const Bytes want = test::expected_result({narrow, ReduceOp::kSum, 8}, sources, 8);
    CHECK(first_difference(got.data(), want.data(), kCount, 2) == kCount);
  }
}

TEST_CASE("the target may be any one of the sources") {
  std::mt19937_64 random(test::test_seed());
  constexpr std::size_t kCount = 4099;
  for (const DType dtype : test::kAllDTypes) {
    const std::vector<Bytes> sources = test::random_sources(dtype, 17, kCount, random);
    for (const std::size_t source_count : {1, 2, 3, 5, 8, 17}) {
      for (const int divisor : {1, 3}) {
        if (dtype == DType::kBool && divisor > 1) continue;
        const Reduction reduction = {dtype, ReduceOp::kSum, divisor};
        const Bytes want = test::expected_result(reduction, sources, source_count);
        for (std::size_t k = 0; k < source_count; ++k) {
          Placed placed(sources, source_count, size_of(dtype));
          std::byte* const target = placed.mutable_source(k);
          CAPTURE(name_of(dtype));
          CAPTURE(source_count);
          CAPTURE(k);
          reduce_sources(dtype, ReduceOp::kSum, divisor, placed.pointers(), {&target, 1}, kCount);
          REQUIRE(first_difference(target, want.data(), kCount, size_of(dtype)) == kCount);
        }
      }
    }
  }
}

TEST_CASE("into several targets, two of them sources, with each instruction set") {
  std::mt19937_64 random(test::test_seed());
  constexpr std::size_t kCount = 2500;
  for (const DType dtype : test::kAllDTypes) {
    const std::vector<Bytes> sources = test::random_sources(dtype, 5, kCount, random);
    for (const std::size_t source_count : {2, 5}) {
      const Bytes want = test::expected_result({dtype, ReduceOp::kMax}, sources, source_count);
      for (const reduce::KernelTable* table : reduce::available_kernels()) {
        Placed placed(sources, source_count, size_of(dtype));
        Bytes apart((kCount + 1) * size_of(dtype), kUntouched);
        std::byte* const targets[] = {placed.mutable_source(source_count - 1), apart.data(),
                                      placed.mutable_source(0)};
        CAPTURE(name_of(dtype));
        CAPTURE(table->name);
        CAPTURE(source_count);
        const Reduction reduction = {dtype, ReduceOp::kMax};
        table->find(dtype, reduction.op)(args_for(reduction, placed.pointers(), targets, kCount));
        for (const std::byte* target : targets)
          REQUIRE(first_difference(target, want.data(), kCount, size_of(dtype)) == kCount);
        REQUIRE(apart.back() == kUntouched);
      }
    }
  }
}

TEST_CASE("more targets than a kernel stores to at once") {
  std::mt19937_64 random(test::test_seed());
  constexpr std::size_t kRanks = 20;
  constexpr std::size_t kCount = 5001;
  const std::vector<Bytes> sources = test::random_sources(DType::kFloat16, kRanks, kCount, random);
  const Bytes want = test::expected_result({DType::kFloat16, ReduceOp::kSum}, sources, kRanks);
  Placed placed(sources, kRanks, size_of(DType::kFloat16));
  std::vector<std::byte*> targets;
  for (std::size_t k = 0; k < kRanks; ++k) targets.push_back(placed.mutable_source(kRanks - 1 - k));
  reduce_sources(DType::kFloat16, ReduceOp::kSum, 1, placed.pointers(), targets, kCount);
  for (const std::byte* target : targets)
    CHECK(first_difference(target, want.data(), kCount, size_of(DType::kFloat16)) == kCount);
}

TEST_CASE("more sources than any host has ranks") {
  std::mt19937_64 random(test::test_seed());
  const std::vector<Bytes> sources = test::random_sources(DType::kBFloat16, 1000, 70, random);
  for (const std::size_t source_count : {129, 1000}) {
    const Reduction reduction = {DType::kBFloat16, ReduceOp::kSum};
    const Placed placed(sources, source_count, 2);
    check_all_kernels(reduction, placed, test::expected_result(reduction, sources, source_count),
                      70);
  }
}

}  // namespace
}  // namespace smddp
