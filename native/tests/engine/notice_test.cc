#include "engine/notice.h"

#include <span>
#include <string>

#include <doctest/doctest.h>

#include "transport/transport.h"

namespace smddp {
namespace {

std::optional<Notice> decode_text(const std::string& bytes) {
  return decode(std::as_bytes(std::span{bytes}));
}

TEST_CASE("a notice survives its encoding") {
  const Notice fault{
      .kind = Notice::Kind::kFault, .code = StatusCode::kPeerLost, .text = "rank 3 died"};
  const auto copy = decode_text(encode(fault));
  REQUIRE(copy.has_value());
  CHECK(copy->kind == Notice::Kind::kFault);
  CHECK(copy->code == StatusCode::kPeerLost);
  CHECK(copy->text == "rank 3 died");

  const Notice started{
      .kind = Notice::Kind::kStarted, .signature = {.sequence = 9, .count = 4}, .waits_for = 6};
  CHECK(decode_text(encode(started))->signature == started.signature);
  CHECK(decode_text(encode(started))->waits_for == 6);
  const auto left = decode_text(
      encode(Notice{.kind = Notice::Kind::kLeft, .operations = 5, .text = "ValueError: a"}));
  CHECK(left->operations == 5);
  CHECK(left->text == "ValueError: a");
}

TEST_CASE("truncated bytes and unknown kinds are no notice") {
  const std::string whole = encode(Notice{});
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(decode_text(whole.substr(0, size)).has_value());
  std::string unknown = whole;
  unknown[0] = 17;
  CHECK_FALSE(decode_text(unknown).has_value());
}

TEST_CASE("the longest notice fits into a transport's") {
  const Notice notice{.kind = Notice::Kind::kFault, .text = std::string(100000, 'x')};
  CHECK(encode(notice).size() <= Transport::kMaxNoticeBytes);
}

}  // namespace
}  // namespace smddp
