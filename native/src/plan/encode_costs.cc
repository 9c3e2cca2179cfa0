#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "smddp/costs.h"

#include "base/wire.h"

namespace smddp {
namespace {

constexpr std::size_t kMaxTextBytes = 4096;

bool is_time(double value) { return std::isfinite(value) && !std::signbit(value); }

/// No rate, or rates by ascending size that hold for all sizes.
bool is_link(const std::vector<LinkRate>& link) {
  std::size_t below = 0;
  for (const LinkRate& rate : link) {
    if (!is_time(rate.seconds_per_byte) || rate.seconds_per_byte == 0) return false;
    if (rate.bytes <= below) return false;
    below = rate.bytes;
  }
  return link.empty() || below == kAnySize;
}

bool is_sound(const Costs& costs) {
  for (const double value :
       {costs.hop, costs.message, costs.reduce, costs.native_step, costs.native}) {
    if (!is_time(value)) return false;
  }
  return is_link(costs.link);
}

Costs take_costs(WireReader& reader) {
  Costs costs;
  costs.hop = reader.f64();
  costs.message = reader.f64();
  costs.reduce = reader.f64();
  costs.native_step = reader.f64();
  costs.native = reader.f64();
  costs.link.clear();
  const std::uint32_t rates = reader.u32();
  for (std::uint32_t i = 0; i < rates && !reader.failed(); ++i) {
    const auto bytes = static_cast<std::size_t>(reader.u64());
    costs.link.push_back({bytes, reader.f64()});
  }
  return costs;
}

}  // namespace

std::string encode(const MeasuredCosts& measured) {
  WireWriter writer;
  writer.u32(static_cast<std::uint32_t>(measured.size()));
  for (const auto& [transport, costs] : measured) {
    writer.string(transport).f64(costs.hop).f64(costs.message).f64(costs.reduce);
    writer.f64(costs.native_step).f64(costs.native);
    writer.u32(static_cast<std::uint32_t>(costs.link.size()));
    for (const LinkRate& rate : costs.link) writer.u64(rate.bytes).f64(rate.seconds_per_byte);
  }
  return writer.take();
}

Result<MeasuredCosts> decode_costs(std::string_view bytes) {
  const Status unreadable{StatusCode::kInvalidArgument, "the measured costs cannot be read"};
  WireReader reader{bytes};
  MeasuredCosts measured;
  const std::uint32_t transports = reader.u32();
  for (std::uint32_t i = 0; i < transports && !reader.failed(); ++i) {
    std::string transport = reader.string(kMaxTextBytes);
    Costs costs = take_costs(reader);
    if (!is_sound(costs)) return unreadable;
    measured[std::move(transport)] = std::move(costs);
  }
  if (!reader.complete() || measured.size() != transports) return unreadable;
  return measured;
}

}  // namespace smddp
