#include "bootstrap/identity.h"

#include <unistd.h>

#include <string>

#include "base/host_id.h"
#include "bootstrap/store_support.h"

namespace smddp::test {
namespace {

RankInfo example() {
  RankInfo info;
  info.rank = 7;
  info.pid = 123456789012;
  info.host_id = "boot:1-2-3:net:4";
  info.host_name = "node-7";
  info.addresses = {{"tcp", "10.0.0.7:1234,10.1.0.7:1235"},
                    {"ofi", std::string("\0\x01\xff", 3)},
                    {"inproc", ""}};
  info.abstract_name = std::string("smddp\0name", 10);
  info.host_topology = std::string("\x02\0", 2);
  return info;
}

TEST_CASE("identity: round trip") {
  for (const RankInfo& info : {example(), RankInfo{}}) {
    const auto bytes = encode(info);
    REQUIRE(bytes.ok());
    const auto decoded = decode_rank_info(bytes.value());
    REQUIRE(decoded.ok());
    CHECK((decoded.value() == info));
  }
}

TEST_CASE("identity: every truncation and anything too much is an error") {
  const std::string bytes = encode(example()).value();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(decode_rank_info(std::string_view(bytes).substr(0, size)).status().code() ==
          StatusCode::kInvalidArgument);
  }
  CHECK_FALSE(decode_rank_info(bytes + '\0').ok());
}

TEST_CASE("identity: no change of one byte reads beyond the end") {
  const std::string bytes = encode(example()).value();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const auto decoded = decode_rank_info(changed);
      if (decoded.ok()) CHECK_FALSE((decoded.value() == example()));
    }
  }
}

TEST_CASE("identity: limits") {
  RankInfo long_text = example();
  long_text.abstract_name = std::string(4097, 'x');
  CHECK(encode(long_text).status().code() == StatusCode::kInvalidArgument);
  RankInfo long_address = example();
  long_address.addresses["tcp"] = std::string(4097, 'x');
  CHECK_FALSE(encode(long_address).ok());

  RankInfo many = example();
  for (int i = 0; many.addresses.size() < 32; ++i)
    many.addresses["t" + std::to_string(i)] = std::string(4096, 'y');
  const auto bytes = encode(many);
  REQUIRE(bytes.ok());
  CHECK((decode_rank_info(bytes.value()).value() == many));
  many.addresses["one more"] = "";
  CHECK_FALSE(encode(many).ok());
}

TEST_CASE("host id: the same every time, not the host's name, and what the user says comes first") {
  const auto id = host_id("");
  REQUIRE(id.ok());
  CHECK(id.value() == host_id("").value());
  CHECK_FALSE(contains(id.value(), host_name()));
  CHECK(host_id("rack1").value() == host_id("rack1").value());
  CHECK(host_id("rack1").value() != host_id("rack2").value());
  CHECK(host_id(id.value()).value() != id.value());
}

}  // namespace
}  // namespace smddp::test
