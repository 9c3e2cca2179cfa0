#include "provider/nccl/communicator.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "provider/nccl/fake_nccl.h"

namespace smddp::nccl {
namespace {

using Lines = std::vector<std::string>;

struct Rig {
  std::unique_ptr<Communicator> join(std::deque<ResultCode> states = {}) {
    fake.answers = {ResultCode::kInProgress};
    fake.states = std::move(states);
    auto begun = Communicator::begin(
        library, {.id = {}, .rank = 1, .world = 3, .name = "world", .max_ctas = 8});
    REQUIRE(begun.ok());
    CHECK(fake.taken() == Lines{"join 1 of 3 as world, most ctas 8"});
    return std::move(begun).value();
  }

  std::unique_ptr<Communicator> joined() {
    auto communicator = join();
    REQUIRE(communicator->progress().ok());
    return communicator;
  }

  std::vector<Request> sums() {
    Request request;
    request.collective = Collective::kAllReduce;
    request.dtype = DType::kFloat32;
    request.count = 8;
    request.in = fake.in.data();
    request.out = fake.out.data();
    return {request};
  }

  test::FakeNccl fake;
  Library library = fake.library();
};

TEST_CASE("joining goes on in the background until all are there") {
  Rig rig;
  auto communicator = rig.join({ResultCode::kInProgress, ResultCode::kInProgress});
  CHECK(communicator->progress().is_again());
  const Status early = communicator->enqueue(rig.sums(), test::fake_stream());
  CHECK(early.code() == StatusCode::kState);
  CHECK(early.message().find("NCCL is still joining") != std::string::npos);
  CHECK(communicator->progress().is_again());
  CHECK(communicator->progress().ok());
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).ok());
  CHECK(rig.fake.taken() == Lines{"all_reduce 8 float32 sum in+0 out+0"});
}

TEST_CASE("an operation that NCCL begins in the background holds up the next one") {
  Rig rig;
  auto communicator = rig.joined();
  rig.fake.answers = {ResultCode::kInProgress};
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).is_again());
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).code() == StatusCode::kState);
  CHECK(rig.fake.taken().size() == 1);
  CHECK(communicator->progress().ok());
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).ok());
}

TEST_CASE("a failure names operation, group and rank, with NCCL's words and what helps") {
  Rig rig;
  auto communicator = rig.joined();
  rig.fake.answers = {ResultCode::kRemoteError};
  rig.fake.last_error = "socket closed";
  const Status status = communicator->enqueue(rig.sums(), test::fake_stream());
  CHECK(status.code() == StatusCode::kPeerLost);
  CHECK(status.message() ==
        "all_reduce in group \"world\" of 3 GPUs, as rank 1: NCCL 2.32.3 says \"remote process "
        "exited\"; its last message: socket closed; another rank has ended or cannot be reached");
  CHECK(rig.fake.taken() == Lines{"all_reduce 8 float32 sum in+0 out+0"});
}

TEST_CASE("after a failure nothing reaches NCCL, and every call tells it again") {
  Rig rig;
  auto communicator = rig.join({ResultCode::kSystemError});
  const Status failure = communicator->progress();
  CHECK(failure.code() == StatusCode::kSystem);
  CHECK(failure.message().rfind("joining in group", 0) == 0);
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).message() == failure.message());
  CHECK(communicator->leave().message() == failure.message());
  CHECK(rig.fake.taken().empty());
  communicator->abort();
  CHECK(communicator->progress().message() == failure.message());
  communicator.reset();
  CHECK(rig.fake.taken() == Lines{"abort"});
}

TEST_CASE("what is left to the end of the process is not touched any more") {
  Rig rig;
  auto communicator = rig.joined();
  communicator->forget();
  CHECK(communicator->leave().ok());
  communicator.reset();
  CHECK(rig.fake.taken().empty());
}

TEST_CASE("an error of the GPU or of another rank is found without a call") {
  Rig rig;
  auto communicator = rig.joined();
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).ok());
  rig.fake.states = {ResultCode::kUnhandledCudaError};
  const Status failure = communicator->progress();
  CHECK(failure.message().rfind("running earlier operations in group", 0) == 0);
}

TEST_CASE("what NCCL cannot do is refused and ends nothing") {
  Rig rig;
  auto communicator = rig.joined();
  Request request = rig.sums().front();
  request.dtype = DType::kInt16;
  CHECK(communicator->enqueue({&request, 1}, test::fake_stream()).code() ==
        StatusCode::kInvalidArgument);
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).ok());
}

TEST_CASE("a request that NCCL itself refuses ends the communicator, and is no refusal of ours") {
  Rig rig;
  auto communicator = rig.joined();
  rig.fake.answers = {ResultCode::kInvalidArgument};
  const Status failure = communicator->enqueue(rig.sums(), test::fake_stream());
  CHECK(failure.code() == StatusCode::kSystem);
  Request unknown = rig.sums().front();
  unknown.dtype = DType::kInt16;
  CHECK(communicator->enqueue({&unknown, 1}, test::fake_stream()).message() == failure.message());
}

TEST_CASE("leaving in order waits for NCCL, then gives the communicator back") {
  Rig rig;
  auto communicator = rig.joined();
  rig.fake.answers = {ResultCode::kInProgress};
  CHECK(communicator->leave().is_again());
  rig.fake.states = {ResultCode::kInProgress};
  CHECK(communicator->progress().is_again());
  CHECK(communicator->progress().ok());
  CHECK(rig.fake.taken() == Lines{"finalize", "destroy"});
  CHECK(communicator->leave().ok());
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).code() == StatusCode::kState);
  communicator.reset();
  CHECK(rig.fake.taken().empty());
}

TEST_CASE("leaving waits for an operation that goes on in the background") {
  Rig rig;
  auto communicator = rig.joined();
  rig.fake.answers = {ResultCode::kInProgress};
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).is_again());
  rig.fake.taken();
  rig.fake.states = {ResultCode::kInProgress, ResultCode::kInProgress};
  CHECK(communicator->leave().is_again());
  CHECK(communicator->progress().is_again());
  CHECK(rig.fake.taken().empty());
  CHECK(communicator->progress().ok());
  CHECK(rig.fake.taken() == Lines{"finalize", "destroy"});
}

TEST_CASE("a communicator that has not left is aborted at its end") {
  Rig rig;
  rig.joined().reset();
  CHECK(rig.fake.taken() == Lines{"abort"});
}

TEST_CASE("after an abort, once, every call says so") {
  Rig rig;
  auto communicator = rig.join();
  communicator->abort();
  communicator->abort();
  CHECK(communicator->progress().code() == StatusCode::kAborted);
  CHECK(communicator->leave().code() == StatusCode::kAborted);
  CHECK(communicator->enqueue(rig.sums(), test::fake_stream()).message() ==
        "running operations in group \"world\" of 3 GPUs, as rank 1: this rank has aborted them");
  communicator.reset();
  CHECK(rig.fake.taken() == Lines{"abort"});
}

TEST_CASE("a least number of CTAs needs a most, as NCCL does not say") {
  Rig rig;
  const auto begun = Communicator::begin(
      rig.library, {.id = {}, .rank = 0, .world = 2, .name = "world", .min_ctas = 4});
  CHECK(begun.status().code() == StatusCode::kInvalidArgument);
  CHECK(rig.fake.taken().empty());
}

TEST_CASE("an id is made by NCCL") {
  Rig rig;
  CHECK(Communicator::make_id(rig.library).value().bytes[127] == 'x');
  rig.fake.answers = {ResultCode::kSystemError};
  CHECK(
      Communicator::make_id(rig.library).status().message().rfind("making a group's id: NCCL", 0) ==
      0);
}

}  // namespace
}  // namespace smddp::nccl
