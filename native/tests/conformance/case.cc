#include "conformance/case.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <sstream>
#include <stdexcept>

namespace smddp::test {
namespace {

/// Bytes around every buffer that nothing may touch. A multiple of the largest element.
constexpr std::size_t kGuardBytes = 48;
constexpr std::byte kGuard{0xA5};

bool reduces(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduce ||
         collective == Collective::kReduceScatter;
}

bool gathers(Collective collective) {
  return collective == Collective::kAllGather || collective == Collective::kGather;
}

bool scatters(Collective collective) {
  return collective == Collective::kReduceScatter || collective == Collective::kScatter;
}

bool is_bitwise(ReduceOp op) {
  return op == ReduceOp::kAnd || op == ReduceOp::kOr || op == ReduceOp::kXor;
}

/// Element `i` of what `rank` brings: its own on each rank, and such that no result exceeds 127.
long value_at(const Case& what, Rank rank, std::size_t i, int world) {
  const auto n = static_cast<long>(i % 1009);
  if (what.dtype == DType::kBool) return (n + rank * rank) % 3 == 0 ? 1 : 0;
  if (!reduces(what.collective)) return (n * 5 + rank * 31) % 127;
  if (is_bitwise(what.op)) return (n * 37 + rank * 11) % 128;
  const bool chosen = n % world == rank;
  if (what.op == ReduceOp::kProduct) return chosen ? 2 + n % 50 : 1;
  if (what.op == ReduceOp::kAverage) return n % 10 + (chosen ? world : 0);  // the sum is divisible
  return 1 + (n * 7 + rank * 3) % 14;
}

long combine(const Case& what, long a, long b) {
  const bool is_bool = what.dtype == DType::kBool;
  switch (what.op) {
    case ReduceOp::kSum:
    case ReduceOp::kAverage:
      return is_bool ? (a | b) : a + b;
    case ReduceOp::kProduct:
      return a * b;
    case ReduceOp::kMin:
      return std::min(a, b);
    case ReduceOp::kMax:
      return std::max(a, b);
    case ReduceOp::kAnd:
      return a & b;
    case ReduceOp::kOr:
      return a | b;
    case ReduceOp::kXor:
      return a ^ b;
  }
  return 0;
}

template <typename T>
void write(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

/// Of an integer from 0 to 2047, which float16 holds exactly.
std::uint16_t to_float16(long value) {
  if (value == 0) return 0;
  const int exponent = std::bit_width(static_cast<unsigned long>(value)) - 1;
  const long fraction = (value - (1L << exponent)) << (10 - exponent);
  return static_cast<std::uint16_t>(((exponent + 15) << 10) + fraction);
}

void store(DType dtype, std::byte* to, long value) {
  switch (dtype) {
    case DType::kFloat64:
      return write(to, static_cast<double>(value));
    case DType::kFloat32:
      return write(to, static_cast<float>(value));
    case DType::kFloat16:
      return write(to, to_float16(value));
    case DType::kBFloat16:
      return write(to, static_cast<std::uint16_t>(
                           std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16));
    case DType::kComplex64:
      write(to, static_cast<float>(value));
      return write(to + 4, static_cast<float>(-value - 1));
    case DType::kComplex128:
      write(to, static_cast<double>(value));
      return write(to + 8, static_cast<double>(-value - 1));
    case DType::kFloat8E4m3fn:  // moved as they are
    case DType::kFloat8E5m2:
    case DType::kFloat8E4m3fnuz:
    case DType::kFloat8E5m2fnuz:
    case DType::kFloat8E8m0fnu:
    case DType::kInt8:
    case DType::kUint8:
    case DType::kBool:
      return write(to, static_cast<std::uint8_t>(value));
    case DType::kInt16:
    case DType::kUint16:
      return write(to, static_cast<std::uint16_t>(value));
    case DType::kInt32:
    case DType::kUint32:
      return write(to, static_cast<std::uint32_t>(value));
    case DType::kInt64:
    case DType::kUint64:
      return write(to, static_cast<std::uint64_t>(value));
  }
}

std::size_t total(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

}  // namespace

std::string describe(const Case& what) {
  std::ostringstream text;
  text << name_of(what.collective) << " " << name_of(what.dtype) << " " << name_of(what.op)
       << ", root " << what.root << ", " << what.count << " elements";
  for (const std::size_t count : what.counts) text << " " << count;
  text << (what.in_place ? ", in place" : "") << (what.synchronous ? ", synchronous" : "");
  return text.str();
}

std::byte* Call::Block::data() { return bytes.empty() ? nullptr : bytes.data() + kGuardBytes; }

Call::Call(const Case& what, Rank self, int world) : what_(what), self_(self), world_(world) {
  const bool is_rooted_move =
      what.collective == Collective::kGather || what.collective == Collective::kScatter;
  if (is_rooted_move && self != what.root) what_.in_place = false;  // it has one of the two alone
  const std::vector<long> brought = brought_by(self);
  if (what_.in_place) {
    std::vector<long> before = brought;
    if (gathers(what.collective)) {
      before.assign(total(blocks()), 0);
      std::copy(brought.begin(), brought.end(),
                before.begin() + static_cast<std::ptrdiff_t>(own_block_begin()));
    }
    in_ = block(before);
    expected_in_ = block(in_place_after());
    return;
  }
  in_ = expected_in_ = block(brought);
  out_ = block(std::vector<long>(result().size(), 1));
  expected_out_ = block(result());
}

Call::Block Call::block(const std::vector<long>& values) const {
  const std::size_t size = size_of(what_.dtype);
  Block made{std::vector<std::byte>(values.size() * size + 2 * kGuardBytes, kGuard)};
  for (std::size_t i = 0; i < values.size(); ++i) {
    store(what_.dtype, made.data() + i * size, values[i]);
  }
  return made;
}

std::vector<std::size_t> Call::blocks() const {
  return what_.counts.empty()
             ? std::vector<std::size_t>(static_cast<std::size_t>(world_), what_.count)
             : what_.counts;
}

std::size_t Call::sent(Rank sender, Rank receiver) const {
  return blocks()[static_cast<std::size_t>((sender + 2 * receiver) % world_)];
}

std::size_t Call::own_block_begin() const {
  if (!gathers(what_.collective) && !scatters(what_.collective)) return 0;
  std::size_t begin = 0;
  for (Rank rank = 0; rank < self_; ++rank) begin += blocks()[static_cast<std::size_t>(rank)];
  return begin;
}

std::vector<long> Call::brought_by(Rank rank) const {
  std::size_t count = what_.count;
  if (gathers(what_.collective)) count = blocks()[static_cast<std::size_t>(rank)];
  if (scatters(what_.collective)) count = total(blocks());
  if (what_.collective == Collective::kScatter && rank != what_.root) count = 0;
  if (what_.collective == Collective::kAllToAll) {
    count = 0;
    for (Rank to = 0; to < world_; ++to) count += sent(rank, to);
  }
  if (what_.collective == Collective::kBarrier) count = 0;
  std::vector<long> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value_at(what_, rank, i, world_);
  return values;
}

std::vector<long> Call::reduced(std::size_t first, std::size_t count) const {
  std::vector<long> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    long value = value_at(what_, 0, first + i, world_);
    for (Rank rank = 1; rank < world_; ++rank) {
      value = combine(what_, value, value_at(what_, rank, first + i, world_));
    }
    values[i] = what_.op == ReduceOp::kAverage ? value / world_ : value;
  }
  return values;
}

std::vector<long> Call::exchanged() const {
  std::vector<long> values;
  for (Rank from = 0; from < world_; ++from) {
    std::size_t begin = 0;
    for (Rank to = 0; to < self_; ++to) begin += sent(from, to);
    for (std::size_t i = 0; i < sent(from, self_); ++i) {
      values.push_back(value_at(what_, from, begin + i, world_));
    }
  }
  return values;
}

std::vector<long> Call::gathered() const {
  std::vector<long> all;
  for (Rank rank = 0; rank < world_; ++rank) {
    const std::vector<long> part = brought_by(rank);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<long> Call::result() const {
  switch (what_.collective) {
    case Collective::kAllReduce:
      return reduced(0, what_.count);
    case Collective::kReduce:
      return self_ == what_.root ? reduced(0, what_.count) : std::vector<long>{};
    case Collective::kReduceScatter:
      return reduced(own_block_begin(), blocks()[static_cast<std::size_t>(self_)]);
    case Collective::kBroadcast:
      return brought_by(what_.root);
    case Collective::kAllToAll:
      return exchanged();
    case Collective::kAllGather:
      return gathered();
    case Collective::kGather:
      return self_ == what_.root ? gathered() : std::vector<long>{};
    case Collective::kScatter: {
      const std::vector<long> all = brought_by(what_.root);
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(own_block_begin());
      const std::size_t own = blocks()[static_cast<std::size_t>(self_)];
      return {first, first + static_cast<std::ptrdiff_t>(own)};
    }
    default:
      return {};
  }
}

std::vector<long> Call::in_place_after() const {
  const std::vector<long> got = result();
  if (gathers(what_.collective)) return got;
  std::vector<long> after = brought_by(self_);
  std::copy(got.begin(), got.end(), after.begin() + static_cast<std::ptrdiff_t>(own_block_begin()));
  return after;
}

Request Call::request() {
  Request request{
      .collective = what_.collective, .dtype = what_.dtype, .op = what_.op, .root = what_.root};
  request.count = what_.count;
  request.counts = what_.counts;
  request.synchronous = what_.synchronous;
  if (what_.collective == Collective::kAllToAll) {
    request.counts.clear();
    for (Rank rank = 0; rank < world_; ++rank) {
      request.counts.push_back(sent(rank, self_));
      request.send_counts.push_back(sent(self_, rank));
    }
  }
  std::byte* const own = in_.data() + own_block_begin() * size_of(what_.dtype);
  request.in = what_.in_place && gathers(what_.collective) ? own : in_.data();
  request.out = out_.data();
  if (what_.in_place) request.out = scatters(what_.collective) ? own : in_.data();
  if (what_.in_place && what_.collective == Collective::kBroadcast) request.in = nullptr;
  return request;
}

void Call::check() const {
  const bool in_right = in_.bytes == expected_in_.bytes;
  if (in_right && out_.bytes == expected_out_.bytes) return;
  throw std::runtime_error("rank " + std::to_string(self_) + ": " + describe(what_) + ": wrong " +
                           (in_right || what_.in_place ? "result" : "input afterwards"));
}

// ---- which cases there are ----

namespace {

constexpr std::size_t kCounts[] = {0, 1, 37, 1024, 4097, 10007};

bool is_rooted(Collective collective) {
  return collective == Collective::kBroadcast || collective == Collective::kReduce ||
         collective == Collective::kGather || collective == Collective::kScatter;
}

bool has_blocks(Collective collective) {
  return gathers(collective) || scatters(collective) || collective == Collective::kAllToAll;
}

struct Layout {
  std::size_t count = 0;
  std::vector<std::size_t> counts = {};
};

std::vector<Layout> layouts(Collective collective, int world) {
  std::vector<Layout> all;
  if (!has_blocks(collective)) {
    for (const std::size_t count : kCounts) all.push_back({count});
    return all;
  }
  for (const std::size_t count : {0, 1, 37, 1024}) all.push_back({count});
  Layout rising;
  Layout gaps;
  Layout last_only;
  for (int rank = 0; rank < world; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    rising.counts.push_back(r + 1);
    gaps.counts.push_back(r % 3 == 1 ? 0 : 29 * r % 83);
    last_only.counts.push_back(rank == world - 1 ? 5003 : 0);
  }
  all.insert(all.end(), {rising, gaps, last_only});
  return all;
}

}  // namespace

std::vector<Case> typed_cases(Collective collective, int world) {
  std::vector<Case> cases;
  if (collective == Collective::kBarrier) return {Case{.collective = collective}};
  for (int dtype = 0; dtype < kDTypeCount; ++dtype) {
    for (int op = 0; op < (reduces(collective) ? kReduceOpCount : 1); ++op) {
      if (reduces(collective) && !is_defined(ReduceOp(op), DType(dtype))) continue;
      const std::size_t number = cases.size();
      cases.push_back(Case{.collective = collective,
                           .dtype = DType(dtype),
                           .op = ReduceOp(op),
                           .root = is_rooted(collective) ? static_cast<Rank>(number) % world : 0,
                           .count = number % 2 == 0 ? std::size_t{37} : 515,
                           .in_place = collective != Collective::kAllToAll && number % 3 == 0,
                           .synchronous = number % 4 < 2});
    }
  }
  return cases;
}

std::vector<Case> sized_cases(Collective collective, int world) {
  std::vector<Case> cases;
  if (collective == Collective::kBarrier) {
    return {Case{.collective = collective}, Case{.collective = collective, .synchronous = false}};
  }
  constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kInt8, DType::kFloat64};
  for (Rank root = 0; root < (is_rooted(collective) ? world : 1); ++root) {
    for (const Layout& layout : layouts(collective, world)) {
      for (const int manner : {0, 1, 2, 3}) {
        const bool in_place = manner % 2 == 1;
        if (in_place && collective == Collective::kAllToAll) continue;
        cases.push_back(Case{.collective = collective,
                             .dtype = kDTypes[cases.size() % 4],
                             .op = cases.size() % 3 == 0 ? ReduceOp::kAverage : ReduceOp::kSum,
                             .root = root,
                             .count = layout.count,
                             .counts = layout.counts,
                             .in_place = in_place,
                             .synchronous = manner < 2});
      }
    }
  }
  return cases;
}

std::vector<Case> thinned(const std::vector<Case>& cases, std::size_t turn) {
  std::vector<Case> some;
  for (std::size_t i = turn % kThinning; i < cases.size(); i += kThinning) some.push_back(cases[i]);
  return some;
}

}  // namespace smddp::test
