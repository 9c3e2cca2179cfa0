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

  for (const DType moved : {DType::kComplex64, DType::kFloat8E5m2}) {
    Request sum = all_reduce(1);
    sum.dtype = moved;
    CHECK(check_request(sum, 0, 4).message() ==
          "all_reduce: op sum is not defined on " + std::string{name_of(moved)});
    sum.collective = Collective::kBroadcast;
    CHECK(check_request(sum, 0, 4).ok());
  }

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

TEST_CASE("only the root of gather and scatter has the whole") {
  const auto gather = [](Rank root, void* out) {
    return Request{
        .collective = Collective::kGather, .root = root, .in = g_buffer, .out = out, .count = 2};
  };
  CHECK(check_request(gather(1, nullptr), 0, 2).ok());
  CHECK(check_request(gather(0, nullptr), 0, 2).message() == "gather: no output buffer");
  CHECK(check_request(gather(0, g_buffer), 0, 2).ok());
  CHECK(check_request(gather(2, g_buffer), 0, 2).message() ==
        "gather: root 2 is not a rank of this group of 2");

  const auto scatter = [](Rank root, const void* in) {
    return Request{.collective = Collective::kScatter,
                   .root = root,
                   .in = in,
                   .out = g_buffer,
                   .counts = {0, 3}};
  };
  CHECK(check_request(scatter(0, nullptr), 1, 2).ok());
  CHECK(check_request(scatter(1, nullptr), 1, 2).message() == "scatter: no input buffer");
  CHECK(check_request(scatter(1, g_buffer), 1, 2).ok());

  Request mine = gather(1, nullptr);
  Request theirs = gather(0, nullptr);
  complete_request(mine, 0, 2);
  complete_request(theirs, 1, 2);
  CHECK_FALSE(to_signature(mine, 3) == to_signature(theirs, 3));  // other roots
  theirs.root = 1;
  CHECK(to_signature(mine, 3) == to_signature(theirs, 3));
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

TEST_CASE("a specification is for the requests it can come from, and for no other") {
  Request broadcast{.collective = Collective::kBroadcast, .root = 1, .count = 7};
  Request gather{.collective = Collective::kAllGather, .counts = {1, 2}};
  Request exchange{.collective = Collective::kAllToAll, .counts = {1, 2}, .send_counts = {1, 0}};
  Request sum = all_reduce(4);
  for (Request* request : {&broadcast, &gather, &exchange, &sum}) complete_request(*request, 0, 2);
  CHECK(is_for(to_spec(sum), sum));
  CHECK(is_for(to_spec(broadcast), broadcast));
  CHECK(is_for(to_spec(gather), gather));
  CHECK(is_for(to_spec(exchange), exchange));
  CHECK_FALSE(is_for(to_spec(sum), broadcast));

  const auto differs = [](const Request& request, auto change) {
    Request other = request;
    change(other);
    return !is_for(to_spec(request), other) && !is_for(to_spec(other), request);
  };
  CHECK(differs(sum, [](Request& r) { r.collective = Collective::kReduce; }));
  CHECK(differs(sum, [](Request& r) { r.op = ReduceOp::kMax; }));
  CHECK(differs(sum, [](Request& r) { r.count = 5; }));
  CHECK(differs(broadcast, [](Request& r) { r.root = 0; }));
  CHECK(differs(gather, [](Request& r) { r.counts = {2, 1}; }));
  CHECK(differs(exchange, [](Request& r) { r.send_counts = {1, 1}; }));
  // How many bytes an element has decides which algorithm is the fastest.
  CHECK(differs(sum, [](Request& r) { r.dtype = DType::kInt8; }));
  // Addresses do not matter to a plan.
  CHECK_FALSE(differs(sum, [](Request& r) { r.in = nullptr; }));
}

}  // namespace
}  // namespace smddp
