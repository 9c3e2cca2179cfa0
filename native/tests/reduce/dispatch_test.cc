#include "reduce/dispatch.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <doctest/doctest.h>

#include "reduce/reduce.h"
#include "reduce/samples.h"

namespace smddp {
namespace {

TEST_CASE("the baseline always exists and the best table is the one in use") {
  REQUIRE_FALSE(reduce::available_kernels().empty());
  CHECK(reduce::available_kernels().front()->name == "baseline");
  CHECK(simd_name() == reduce::available_kernels().back()->name);
  CHECK(reduce::kernels_for("baseline") == reduce::available_kernels().front());
  CHECK(reduce::kernels_for("sse9") == nullptr);
}

TEST_CASE("each table has exactly the defined operations") {
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    for (const DType dtype : test::kAllDTypes) {
      for (const ReduceOp op : test::kAllOps) {
        CAPTURE(table->name);
        CAPTURE(name_of(dtype));
        CAPTURE(name_of(op));
        const bool found = table->find(dtype, op) != nullptr;
        CHECK(found == is_defined(op, dtype));
      }
      const bool averages = table->find(dtype, ReduceOp::kAverage) != nullptr;
      CHECK_FALSE(averages);
    }
  }
}

TEST_CASE("float32 holds sums and products of 16-bit floats, and of nothing else") {
  const auto is_narrow = [](DType dtype) {
    return dtype == DType::kFloat16 || dtype == DType::kBFloat16;
  };
  for (const reduce::KernelTable* table : reduce::available_kernels()) {
    for (const DType source : test::kAllDTypes) {
      for (const DType target : test::kAllDTypes) {
        if (source == target) continue;
        const bool converts = (is_narrow(source) && target == DType::kFloat32) ||
                              (source == DType::kFloat32 && is_narrow(target));
        for (const ReduceOp op : test::kAllOps) {
          CAPTURE(name_of(source));
          CAPTURE(name_of(target));
          CAPTURE(name_of(op));
          const bool adds = op == ReduceOp::kSum || op == ReduceOp::kProduct;
          const bool found = table->find({source, target}, op) != nullptr;
          CHECK(found == (converts && adds));
        }
      }
    }
  }
}

/// Whether the call ends the process with SIGABRT; made in a child, whose message is dropped.
bool aborts(DType dtype, ReduceOp op, int divisor, std::size_t source_count,
            std::size_t target_count = 1) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(null, STDERR_FILENO);
    std::byte element[8] = {};
    const std::byte* const sources[] = {element};
    std::byte* const targets[] = {element};
    reduce_sources(dtype, op, divisor, std::span(sources).first(source_count),
                   std::span(targets).first(target_count), 1);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST_CASE("calls outside the contract abort") {
  CHECK(aborts(DType::kFloat32, ReduceOp::kXor, 1, 1));
  CHECK(aborts(DType::kFloat32, ReduceOp::kAverage, 1, 1));
  CHECK(aborts(DType::kBool, ReduceOp::kSum, 2, 1));
  CHECK(aborts(DType::kFloat32, ReduceOp::kProduct, 2, 1));
  CHECK(aborts(DType::kInt32, ReduceOp::kSum, 1, 0));
  CHECK(aborts(DType::kInt32, ReduceOp::kSum, 1, 1, 0));
  CHECK_FALSE(aborts(DType::kInt32, ReduceOp::kSum, 1, 1));
}

}  // namespace
}  // namespace smddp
