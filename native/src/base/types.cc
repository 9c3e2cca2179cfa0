#include "smddp/types.h"

#include <array>

namespace smddp {
namespace {

struct DTypeFacts {
  std::string_view name;
  std::size_t bytes;
  bool floating;
};

constexpr std::array<DTypeFacts, kDTypeCount> kDTypes{{
    {"float64", 8, true},         {"float32", 4, true},        {"float16", 2, true},
    {"bfloat16", 2, true},        {"int8", 1, false},          {"int16", 2, false},
    {"int32", 4, false},          {"int64", 8, false},         {"uint8", 1, false},
    {"uint16", 2, false},         {"uint32", 4, false},        {"uint64", 8, false},
    {"bool", 1, false},           {"complex64", 8, true},      {"complex128", 16, true},
    {"float8_e4m3fn", 1, true},   {"float8_e5m2", 1, true},    {"float8_e4m3fnuz", 1, true},
    {"float8_e5m2fnuz", 1, true}, {"float8_e8m0fnu", 1, true},
}};

constexpr std::array<std::string_view, kReduceOpCount> kOps{"sum",     "product", "min", "max",
                                                            "average", "and",     "or",  "xor"};

constexpr std::array<std::string_view, kCollectiveCount> kCollectives{
    "all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce",
    "barrier",    "all_to_all",     "gather",     "scatter"};

const DTypeFacts& facts(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t size_of(DType dtype) noexcept { return facts(dtype).bytes; }
bool is_floating(DType dtype) noexcept { return facts(dtype).floating; }

bool is_defined(ReduceOp op, DType dtype) noexcept {
  if (dtype >= DType::kComplex64) return false;
  switch (op) {
    case ReduceOp::kAnd:
    case ReduceOp::kOr:
    case ReduceOp::kXor:
      return !is_floating(dtype);
    case ReduceOp::kAverage:
      return dtype != DType::kBool;
    default:
      return true;
  }
}

// Values may come from another process (a mismatching signature), so the index is checked.
std::string_view name_of(DType dtype) noexcept {
  const auto index = static_cast<std::size_t>(dtype);
  return index < kDTypes.size() ? kDTypes[index].name : "?";
}
std::string_view name_of(ReduceOp op) noexcept {
  const auto index = static_cast<std::size_t>(op);
  return index < kOps.size() ? kOps[index] : "?";
}
std::string_view name_of(Collective collective) noexcept {
  const auto index = static_cast<std::size_t>(collective);
  return index < kCollectives.size() ? kCollectives[index] : "?";
}

}  // namespace smddp
