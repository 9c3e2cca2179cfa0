#include "provider/nccl/calls.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "provider/nccl/fake_nccl.h"

namespace smddp::nccl {
namespace {

using Lines = std::vector<std::string>;

/// Calls of rank `rank` of three.
struct Rig {
  explicit Rig(Rank own = 1) : library(fake.library()), rank(own) {}

  Request request(Collective collective, DType dtype = DType::kFloat32) {
    Request made;
    made.collective = collective;
    made.dtype = dtype;
    made.in = fake.in.data();
    made.out = fake.out.data();
    made.count = 8;
    return made;
  }

  Lines lines(const Request& request) {
    REQUIRE(check_request(request, library.version).ok());
    CHECK(call({request}) == ResultCode::kSuccess);
    return fake.taken();
  }

  ResultCode call(const std::vector<Request>& requests) {
    return call_nccl({library, test::fake_comm(), rank, 3}, requests, test::fake_stream());
  }

  test::FakeNccl fake;
  Library library;
  Rank rank;
};

TEST_CASE("collectives that NCCL has are one call each") {
  Rig rig;
  CHECK(rig.lines(rig.request(Collective::kAllReduce)) ==
        Lines{"all_reduce 8 float32 sum in+0 out+0"});
  CHECK(rig.lines(rig.request(Collective::kAllGather, DType::kFloat16)) ==
        Lines{"all_gather 16 int8 in+0 out+0"});
  CHECK(rig.lines(rig.request(Collective::kReduceScatter, DType::kBFloat16)) ==
        Lines{"reduce_scatter 8 bfloat16 sum in+0 out+0"});
  Request reduce = rig.request(Collective::kReduce, DType::kInt64);
  reduce.root = 2;
  reduce.op = ReduceOp::kMax;
  CHECK(rig.lines(reduce) == Lines{"reduce 8 int64 max to 2 in+0 out+0"});
}

TEST_CASE("broadcast reads the root's input, and elsewhere the output alone") {
  for (const Rank root : {0, 1}) {
    Rig rig;
    Request request = rig.request(Collective::kBroadcast, DType::kComplex128);
    request.root = root;
    const std::string from = root == rig.rank ? "in+0" : "out+0";
    CHECK(rig.lines(request) ==
          Lines{"broadcast 128 int8 from " + std::to_string(root) + " " + from + " out+0"});
    request.in = nullptr;
    CHECK(rig.lines(request) ==
          Lines{"broadcast 128 int8 from " + std::to_string(root) + " out+0 out+0"});
  }
}

TEST_CASE("equal blocks that are given one by one are one call") {
  Rig rig;
  Request request = rig.request(Collective::kAllGather);
  request.counts = {5, 5, 5};
  CHECK(rig.lines(request) == Lines{"all_gather 20 int8 in+0 out+0"});
}

TEST_CASE("uneven blocks are a group of a call for each that is not empty") {
  Rig rig{2};
  Request gather = rig.request(Collective::kAllGather);
  gather.counts = {3, 0, 2};
  CHECK(rig.lines(gather) == Lines{"group_start", "broadcast 12 int8 from 0 out+0 out+0",
                                   "broadcast 8 int8 from 2 in+0 out+12", "group_end"});
  Request scatter = rig.request(Collective::kReduceScatter);
  scatter.counts = {3, 0, 2};
  CHECK(rig.lines(scatter) == Lines{"group_start", "reduce 3 float32 sum to 0 in+0 null",
                                    "reduce 2 float32 sum to 2 in+12 out+0", "group_end"});
}

TEST_CASE("all_to_all sends and receives each block in one group") {
  Rig rig;
  Request request = rig.request(Collective::kAllToAll);
  request.send_counts = {1, 2, 3};
  request.counts = {4, 2, 0};
  CHECK(rig.lines(request) == Lines{"group_start", "send 4 int8 to 0 in+0",
                                    "recv 16 int8 from 0 out+0", "send 8 int8 to 1 in+4",
                                    "recv 8 int8 from 1 out+16", "send 12 int8 to 2 in+12",
                                    "group_end"});
}

TEST_CASE("gather and scatter: the root deals with all, the others with the root") {
  Rig root{2};
  Request gather = root.request(Collective::kGather, DType::kFloat16);
  gather.root = 2;
  gather.counts = {1, 2, 3};
  CHECK(root.lines(gather) == Lines{"group_start", "send 6 int8 to 2 in+0",
                                    "recv 2 int8 from 0 out+0", "recv 4 int8 from 1 out+2",
                                    "recv 6 int8 from 2 out+6", "group_end"});
  Request scatter = root.request(Collective::kScatter, DType::kFloat16);
  scatter.root = 2;
  scatter.counts = {1, 2, 3};
  CHECK(root.lines(scatter) == Lines{"group_start", "send 2 int8 to 0 in+0",
                                     "send 4 int8 to 1 in+2", "send 6 int8 to 2 in+6",
                                     "recv 6 int8 from 2 out+0", "group_end"});
}

TEST_CASE("gather and scatter elsewhere") {
  Rig other{1};
  Request request = other.request(Collective::kGather, DType::kComplex128);
  request.root = 2;
  CHECK(other.lines(request) == Lines{"group_start", "send 128 int8 to 2 in+0", "group_end"});
  request.collective = Collective::kScatter;
  CHECK(other.lines(request) == Lines{"group_start", "recv 128 int8 from 2 out+0", "group_end"});
}

TEST_CASE("operations that are given together start together") {
  Rig rig;
  Request send = rig.request(Collective::kBarrier);
  send.message = MessageSide::kSend;
  send.peer = 0;
  Request recv = send;
  recv.message = MessageSide::kRecv;
  CHECK(rig.call({send, recv}) == ResultCode::kSuccess);
  CHECK(rig.fake.taken() ==
        Lines{"group_start", "send 32 int8 to 0 in+0", "recv 32 int8 from 0 out+0", "group_end"});
}

TEST_CASE("messages") {
  Rig rig;
  // The collective of a message is not looked at; there is no sum of 16-bit integers.
  Request request = rig.request(Collective::kAllReduce, DType::kInt16);
  request.message = MessageSide::kSend;
  request.peer = 2;
  CHECK(rig.lines(request) == Lines{"send 16 int8 to 2 in+0"});
  request.message = MessageSide::kRecv;
  CHECK(rig.lines(request) == Lines{"recv 16 int8 from 2 out+0"});
}

TEST_CASE("after a failure a group makes no more calls, and ends") {
  Rig rig;
  Request request = rig.request(Collective::kAllToAll);
  rig.fake.answers = {ResultCode::kSuccess, ResultCode::kInProgress, ResultCode::kInvalidUsage};
  CHECK(rig.call({request}) == ResultCode::kInvalidUsage);
  CHECK(rig.fake.taken() ==
        Lines{"group_start", "send 32 int8 to 0 in+0", "recv 32 int8 from 0 out+0", "group_end"});
}

TEST_CASE("what NCCL cannot do is refused with what to do") {
  Rig rig;
  Request request = rig.request(Collective::kAllReduce, DType::kInt16);
  Status status = check_request(request, rig.library.version);
  CHECK(status.code() == StatusCode::kInvalidArgument);
  CHECK(status.message() ==
        "all_reduce: NCCL 2.32.3 has no sum of int16; convert the tensor, or move it with .cpu()");
  status = check_request(rig.request(Collective::kBarrier), rig.library.version);
  CHECK(status.message().find("use an all_reduce of one element") != std::string::npos);
  request.message = MessageSide::kSend;
  request.tag = 3;
  CHECK(check_request(request, rig.library.version).message().find("use tag 0") !=
        std::string::npos);
}

}  // namespace
}  // namespace smddp::nccl
