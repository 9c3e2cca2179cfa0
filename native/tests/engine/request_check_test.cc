#include "engine/request_check.h"

#include <string>

#include <doctest/doctest.h>

namespace smddp {
namespace {

float g_buffer[16];

Request all_reduce(std::size_t count) {
  Request request{.collective = Collective::kAllReduce, .dtype = DType::kFloat32};
  request.in = request.out = g_buffer;
  request.count = count;
  return request;
}

TEST_CASE("a good request passes") { CHECK(check_request(all_reduce(4), 0, 4).ok()); }

TEST_CASE("bad arguments are named") {
  Request bitwise = all_reduce(4);
  bitwise.op = ReduceOp::kXor;
  CHECK(check_request(bitwise, 0, 4).message() == "all_reduce: op xor is not defined on float32");

  Request average = all_reduce(4);
  average.op = ReduceOp::kAverage;
  average.dtype = DType::kBool;
  CHECK_FALSE(check_request(average, 0, 4).ok());

  Request rooted{.collective = Collective::kBroadcast, .root = 4, .out = g_buffer, .count = 1};
  CHECK(check_request(rooted, 0, 4).message() ==
        "broadcast: root 4 is not a rank of this group of 4");

  Request nowhere = all_reduce(4);
  nowhere.out = nullptr;
  CHECK(check_request(nowhere, 0, 4).message() == "all_reduce: no output buffer");

  Request uneven{
      .collective = Collective::kAllGather, .in = g_buffer, .out = g_buffer, .counts = {1, 2}};
  CHECK(check_request(uneven, 0, 3).message() == "all_gather: 2 counts for a group of 3");
}

TEST_CASE("what a rank does not use may be missing") {
  CHECK(check_request(
            Request{.collective = Collective::kReduce, .root = 1, .in = g_buffer, .count = 4}, 0, 2)
            .ok());
  CHECK_FALSE(
      check_request(Request{.collective = Collective::kReduce, .in = g_buffer, .count = 4}, 0, 2)
          .ok());
  CHECK(check_request(Request{.collective = Collective::kBarrier}, 0, 2).ok());
  CHECK(check_request(all_reduce(0), 0, 2).ok());
}

TEST_CASE("signatures compare exactly what must be equal") {
  Request first = all_reduce(4);
  Request second = all_reduce(4);
  complete_request(first, 0, 2);
  complete_request(second, 1, 2);
  CHECK(to_signature(first, 5) == to_signature(second, 5));
  second.count = 5;
  CHECK_FALSE(to_signature(first, 5) == to_signature(second, 5));

  Request mine{.collective = Collective::kAllToAll, .counts = {1, 2}, .send_counts = {1, 0}};
  Request theirs{.collective = Collective::kAllToAll, .counts = {0, 3}, .send_counts = {2, 3}};
  CHECK(to_signature(mine, 0) == to_signature(theirs, 0));

  Request equal{.collective = Collective::kAllGather, .count = 3};
  complete_request(equal, 0, 2);
  const Request uneven{.collective = Collective::kAllGather, .root = -1, .counts = {2, 4}};
  CHECK_FALSE(to_signature(equal, 0) == to_signature(uneven, 0));
}

}  // namespace
}  // namespace smddp
