#include "bootstrap/store_protocol.h"

#include "base/wire.h"

namespace smddp {

std::string encode_request(const StoreRequest& request) {
  WireWriter writer;
  writer.u8(static_cast<std::uint8_t>(request.op)).string(request.key).string(request.value);
  return writer.u64(static_cast<std::uint64_t>(request.delta)).take();
}

std::optional<StoreRequest> decode_request(std::string_view payload) {
  WireReader reader{payload};
  const std::uint8_t op = reader.u8();
  StoreRequest request;
  request.key = reader.string(kMaxKeyBytes);
  request.value = reader.string(kMaxValueBytes);
  request.delta = static_cast<std::int64_t>(reader.u64());
  if (!reader.complete() || op > static_cast<std::uint8_t>(StoreOp::kAdd)) return std::nullopt;
  request.op = static_cast<StoreOp>(op);
  return request;
}

}  // namespace smddp
