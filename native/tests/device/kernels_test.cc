// Our kernels: compiled for the processor and launched by the pretended driver, or on a real GPU
// (then also under compute-sanitizer).
#include "provider/cuda/kernels.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "device/gpu_world.h"
#include "reduce/reduce.h"

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr DType kReduced[] = {DType::kFloat64, DType::kFloat32, DType::kFloat16, DType::kBFloat16,
                              DType::kInt8,    DType::kInt16,   DType::kInt32,   DType::kInt64,
                              DType::kUint8,   DType::kUint16,  DType::kUint32,  DType::kUint64,
                              DType::kBool};
constexpr ReduceOp kOps[] = {ReduceOp::kSum, ReduceOp::kProduct, ReduceOp::kMin,
                             ReduceOp::kMax, ReduceOp::kAverage, ReduceOp::kAnd,
                             ReduceOp::kOr,  ReduceOp::kXor};

/// Kernels and a stream on the pretended GPU; or on a real one, if SMDDP_GPU_KERNELS names the
/// library with kernels for it. What they work on lies in memory that host and GPU reach.
class Rig {
 public:
  Rig() {
    const char* const real = std::getenv("SMDDP_GPU_KERNELS");
    gpu_ = real != nullptr ? open_real_gpu() : open_gpu(0);
    const auto image = cuda::load_kernel_image(real != nullptr ? real : FAKE_KERNELS);
    REQUIRE_MESSAGE(image.ok(), image.status().message());
    const auto loaded = cuda::Kernels::on(gpu_, image.value());
    REQUIRE_MESSAGE(loaded.ok(), loaded.status().message());
    kernels_ = loaded.value();
    stream_ = gpu_->make_stream().value();
    end_ = gpu_->make_event().value();
    memory_ = gpu_->allocate_pinned(kMemoryBytes).value();
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() {
    gpu_->free_pinned(memory_);
    gpu_->destroy(end_);
    gpu_->destroy_stream(stream_);
  }

  void reduce(DType dtype, const cuda::ReduceArguments& call) {
    finish(kernels_->reduce(dtype, call, stream_));
  }
  void copy(const cuda::ReduceArguments& call) { finish(kernels_->copy(call, stream_)); }

  /// A copy, until the next kernel.
  std::byte* place(const Bytes& bytes) {
    std::byte* const at = memory_ + used_;
    used_ += (bytes.size() + 255) / 256 * 256;
    REQUIRE(used_ <= kMemoryBytes);
    std::copy(bytes.begin(), bytes.end(), at);
    return at;
  }

 private:
  static constexpr std::size_t kMemoryBytes = std::size_t{1} << 20;

  void finish(const Status& launched) {
    REQUIRE_MESSAGE(launched.ok(), launched.message());
    REQUIRE(gpu_->record(end_, stream_).ok());
    while (gpu_->query(end_).is_again()) ::sched_yield();
    used_ = 0;
  }

  static std::shared_ptr<cuda::Gpu> open_real_gpu() {
    const auto driver = cuda::load_driver();
    REQUIRE_MESSAGE(driver.ok(), driver.status().message());
    return cuda::Gpu::open(driver.value(), 0).value();
  }

  std::shared_ptr<cuda::Gpu> gpu_;
  const cuda::Kernels* kernels_ = nullptr;
  cuda::Stream stream_ = nullptr;
  cuda::Event end_ = nullptr;
  std::byte* memory_ = nullptr;
  std::size_t used_ = 0;
};

/// Any bits, so also NaNs of all kinds, infinities, and bools that are neither 0 nor 1.
Bytes random_bytes(std::size_t size, std::mt19937& random) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// What host memory gets.
Bytes on_host(DType dtype, ReduceOp op, const std::vector<Bytes>& sources, std::size_t count) {
  Bytes result(count * size_of(dtype));
  std::vector<const std::byte*> from;
  for (const Bytes& source : sources) from.push_back(source.data());
  std::byte* const to = result.data();
  const bool is_average = op == ReduceOp::kAverage;
  reduce_sources(dtype, is_average ? ReduceOp::kSum : op,
                 is_average ? static_cast<int>(sources.size()) : 1, from, {&to, 1}, count);
  return result;
}

TEST_CASE("kernels write the bits that host memory gets, to all targets and nowhere else") {
  constexpr unsigned kSeed = 20261130;
  INFO("seed ", kSeed);
  std::mt19937 random{kSeed};
  Rig rig;
  for (const DType dtype : kReduced) {
    for (const ReduceOp op : kOps) {
      if (!is_defined(op, dtype)) continue;
      for (const std::size_t ranks : {1U, 2U, 3U, 5U, 8U, 9U, 16U, 21U, 24U, 25U, 32U}) {
        CAPTURE(name_of(dtype));
        CAPTURE(name_of(op));
        CAPTURE(ranks);
        const std::size_t count = 1 + random() % 300;
        const std::size_t shift = random() % 2 * size_of(dtype);  // aligned to 16 bytes or not
        std::vector<Bytes> sources;
        std::vector<std::byte*> targets;
        cuda::ReduceArguments call{.count = count, .op = op};
        for (std::size_t rank = 0; rank < ranks; ++rank) {
          sources.push_back(random_bytes(count * size_of(dtype), random));
          Bytes placed(shift);
          placed.insert(placed.end(), sources.back().begin(), sources.back().end());
          call.in[call.sources++] = rig.place(placed) + shift;
        }
        const Bytes untouched(shift + count * size_of(dtype) + 16, std::byte{0x5a});
        for (std::size_t rank = 0; rank < std::min<std::size_t>(ranks, 3); ++rank) {
          targets.push_back(rig.place(untouched));
          call.out[call.targets++] = targets.back() + shift;
        }
        rig.reduce(dtype, call);
        Bytes expected(shift, std::byte{0x5a});
        const Bytes result = on_host(dtype, op, sources, count);
        expected.insert(expected.end(), result.begin(), result.end());
        expected.resize(untouched.size(), std::byte{0x5a});
        for (const std::byte* target : targets)
          REQUIRE(Bytes(target, target + expected.size()) == expected);
      }
    }
  }
}

std::uint64_t told(const std::byte* at) { return reinterpret_cast<std::uint64_t>(at); }

TEST_CASE(
    "what lines tell is read and written, and nothing of another operation, or once it is over") {
  constexpr std::size_t kCount = 300;
  constexpr std::size_t kBytes = kCount * sizeof(std::int32_t);
  constexpr std::uint64_t kOperation = 0x7'0000'0003;
  constexpr std::uint32_t kTurn = 4;
  struct Last {  // what the last rank's line says
    std::uint64_t operation;
    std::uint32_t given_up;
    bool holds() const { return operation == kOperation && given_up != kTurn; }
  };
  Rig rig;
  for (const std::size_t shift : {0, 4}) {  // aligned to 16 bytes or not
    for (const Last last : {Last{kOperation, 0}, Last{kOperation, kTurn - 1},
                            Last{kOperation, kTurn}, Last{kOperation + (1ULL << 32), 0}}) {
      CAPTURE(shift);
      CAPTURE(last.operation);
      CAPTURE(last.given_up);
      std::vector<cuda::RankLine> lines(3);
      std::vector<std::byte*> targets;
      for (std::size_t rank = 0; rank < lines.size(); ++rank) {
        Bytes source(kBytes + shift);
        for (std::size_t i = 0; i < kCount; ++i) {
          const auto value = static_cast<std::int32_t>(100 * i + rank);
          std::memcpy(source.data() + shift + i * sizeof(value), &value, sizeof(value));
        }
        const std::byte* const in = rig.place(source) + shift;
        targets.push_back(rig.place(Bytes(kBytes + shift)) + shift);
        lines[rank] = {.operation = kOperation, .in = told(in), .out = told(targets.back())};
      }
      lines[2].operation = last.operation;
      lines[2].given_up = last.given_up;
      Bytes bytes(lines.size() * sizeof(cuda::RankLine));
      std::memcpy(bytes.data(), lines.data(), bytes.size());
      std::byte* const left_out = rig.place(Bytes(sizeof(std::uint32_t)));
      cuda::ReduceArguments call{.lines = reinterpret_cast<const cuda::RankLine*>(rig.place(bytes)),
                                 .left_out = reinterpret_cast<std::uint32_t*>(left_out),
                                 .operation = kOperation,
                                 .count = kCount,
                                 .sources = 3,
                                 .targets = 2,
                                 .first_target = 1,
                                 .round = 5,
                                 .turn = kTurn,
                                 .op = ReduceOp::kSum};
      call.in[1] = reinterpret_cast<const std::byte*>(lines[1].in);  // its own, say
      rig.reduce(DType::kInt32, call);
      CHECK(Bytes(targets[0], targets[0] + kBytes) == Bytes(kBytes));
      CHECK(left_out[0] == (last.operation == kOperation ? std::byte{0} : std::byte{5}));
      for (const std::size_t rank : {1U, 2U}) {
        for (std::size_t i = 0; i < kCount; ++i) {
          std::int32_t result = 0;
          std::memcpy(&result, targets[rank] + i * sizeof(result), sizeof(result));
          REQUIRE(result == (last.holds() ? static_cast<std::int32_t>(300 * i + 3) : 0));
        }
      }
    }
  }
}

TEST_CASE("copies have every byte, whatever the count and wherever they lie") {
  constexpr unsigned kSeed = 20261130;
  INFO("seed ", kSeed);
  std::mt19937 random{kSeed};
  Rig rig;
  for (const std::size_t bytes : {1U, 15U, 16U, 17U, 4096U, 70'001U}) {
    for (const std::size_t shift : {0U, 1U, 4U, 8U}) {
      CAPTURE(bytes);
      CAPTURE(shift);
      const Bytes source = random_bytes(bytes + shift, random);
      const Bytes untouched(bytes + shift + 16, std::byte{0x5a});
      cuda::ReduceArguments call{.count = bytes, .sources = 1, .targets = 3};
      call.in[0] = rig.place(source) + shift;
      std::vector<std::byte*> targets;
      for (int k = 0; k < call.targets; ++k) {
        targets.push_back(rig.place(untouched));
        call.out[k] = targets.back() + shift;
      }
      rig.copy(call);
      Bytes expected(shift, std::byte{0x5a});
      expected.insert(expected.end(), source.begin() + static_cast<std::ptrdiff_t>(shift),
                      source.end());
      expected.resize(untouched.size(), std::byte{0x5a});
      for (const std::byte* target : targets)
        REQUIRE(Bytes(target, target + expected.size()) == expected);
    }
  }
}

TEST_CASE("8-bit floats are added in float32, rounded once, and end at their largest number") {
  Rig rig;
  struct Sum {
    DType dtype;
    std::vector<int> bits;
    int result;
  };
  const std::vector<Sum> sums{
      {DType::kFloat8E4m3fn, {0x38, 0x38}, 0x40},        // 1 + 1 = 2
      {DType::kFloat8E4m3fn, {0x38, 0x20, 0x20}, 0x3a},  // 1 + 1/8 + 1/8 = 1.25
      {DType::kFloat8E4m3fn, {0x7e, 0x7e}, 0x7e},        // 448 + 448
      {DType::kFloat8E4m3fn, {0xb8, 0x30}, 0xb0},        // -1 + 1/2
      {DType::kFloat8E5m2, {0x3c, 0x3c, 0x40}, 0x44},    // 1 + 1 + 2 = 4
      {DType::kFloat8E5m2, {0x7b, 0x7b}, 0x7b},          // 57344 + 57344
  };
  for (const auto& [dtype, bits, result] : sums) {
    constexpr std::size_t kCount = 19;
    cuda::ReduceArguments call{.count = kCount, .op = ReduceOp::kSum};
    for (const int value : bits)
      call.in[call.sources++] = rig.place(Bytes(kCount, static_cast<std::byte>(value)));
    std::byte* const target = rig.place(Bytes(kCount));
    call.out[call.targets++] = target;
    rig.reduce(dtype, call);
    CHECK(Bytes(target, target + kCount) == Bytes(kCount, static_cast<std::byte>(result)));
  }
}

TEST_CASE("what there is no kernel for is known, and a shared object without kernels says so") {
  CHECK(cuda::Kernels::can_reduce(DType::kFloat8E5m2, ReduceOp::kSum));
  CHECK_FALSE(cuda::Kernels::can_reduce(DType::kFloat8E5m2fnuz, ReduceOp::kSum));
  CHECK_FALSE(cuda::Kernels::can_reduce(DType::kComplex64, ReduceOp::kSum));
  CHECK_FALSE(cuda::Kernels::can_reduce(DType::kFloat32, ReduceOp::kXor));
  CHECK(cuda::load_kernel_image("").status().message().find("nvcc") != std::string::npos);
  CHECK(cuda::load_kernel_image(FAKE_FOLDER "/libnccl.so.2").status().code() ==
        StatusCode::kConfig);
}

}  // namespace
}  // namespace smddp::test
