#include "device/ipc_trial.h"

namespace smddp {
namespace {

constexpr std::array<std::size_t, 3> kCounts{1000, 50'000, 1000};
constexpr std::size_t kAll = kCounts[0] + kCounts[1] + kCounts[2];
static_assert(kAll * sizeof(std::int32_t) <= IpcSlab::kSpare);

std::int32_t brought(Rank rank, std::size_t i) {
  return static_cast<std::int32_t>(i) * 64 + rank + 1;
}

}  // namespace

IpcTrial::IpcTrial(HostPlace place, IpcSlab slab, std::byte* pinned)
    : place_(place), memory_(slab.spare()), numbers_(reinterpret_cast<Number*>(pinned)) {
  for (std::size_t i = 0; i < kAll; ++i) numbers_[i] = brought(place.rank, i);
  std::byte* at = memory_;
  for (std::size_t k = 0; k < kCounts.size(); ++k) {
    requests_[k] = {.collective = k < 2 ? Collective::kAllReduce : Collective::kBroadcast,
                    .dtype = DType::kInt32,
                    .root = place_.ranks - 1,
                    .in = at,
                    .out = at,
                    .count = kCounts[k]};
    at += kCounts[k] * sizeof(Number);
  }
}

Status IpcTrial::begin(const cuda::Gpu& gpu, cuda::Stream stream) {
  return gpu.copy_to_device(memory_, reinterpret_cast<const std::byte*>(numbers_),
                            kAll * sizeof(Number), stream);
}

Status IpcTrial::take(const cuda::Gpu& gpu, cuda::Stream stream) {
  return gpu.copy_to_host(reinterpret_cast<std::byte*>(numbers_), memory_, kAll * sizeof(Number),
                          stream);
}

Status IpcTrial::check() const {
  for (std::size_t i = 0; i < kAll; ++i) {
    Number expected = brought(place_.ranks - 1, i);
    if (i < kCounts[0] + kCounts[1]) {
      expected = 0;
      for (Rank rank = 0; rank < place_.ranks; ++rank) expected += brought(rank, i);
    }
    if (numbers_[i] != expected)
      return {StatusCode::kSystem, "a collective among GPUs has given a wrong result"};
  }
  return {};
}

}  // namespace smddp
