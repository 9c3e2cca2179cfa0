#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "smddp/request.h"

namespace smddp::test {

/// One collective call as all ranks make it.
struct Case {
  Collective collective = Collective::kAllReduce;
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  Rank root = 0;
  std::size_t count = 0;
  std::vector<std::size_t> counts = {};  ///< of each rank's block; empty: `count` for all
  bool in_place = false;
  bool synchronous = true;
};

std::string describe(const Case& what);

/// One rank's part of a case: its memory, with guards around it, and the result that it must get.
/// Values are small integers, exact in every dtype, so the order of summation does not matter here.
class Call {
 public:
  Call(const Case& what, Rank self, int world);

  /// Refers to this object's memory.
  Request request();
  /// Throws unless the result is right and nothing else was written.
  void check() const;

 private:
  struct Block {
    std::vector<std::byte> bytes;
    std::byte* data();
  };

  Block block(const std::vector<long>& values) const;
  std::vector<long> brought_by(Rank rank) const;
  std::vector<long> result() const;
  std::vector<long> reduced(std::size_t first, std::size_t count) const;
  std::vector<long> exchanged() const;
  std::vector<long> gathered() const;
  std::vector<std::size_t> blocks() const;
  /// Elements that `sender` sends to `receiver` in an all_to_all.
  std::size_t sent(Rank sender, Rank receiver) const;
  /// Element of the shared buffer at which `in` (or `out`) begins when the call is in place.
  std::size_t own_block_begin() const;
  std::vector<long> in_place_after() const;

  Case what_;
  Rank self_;
  int world_;
  Block in_;
  Block out_;  ///< empty when in place
  Block expected_in_;
  Block expected_out_;
};

/// Every dtype with every operation that it has.
std::vector<Case> typed_cases(Collective collective, int world);
/// Every size in every manner of calling.
std::vector<Case> sized_cases(Collective collective, int world);

inline constexpr Collective kCollectives[] = {
    Collective::kBarrier,       Collective::kBroadcast, Collective::kAllGather,
    Collective::kAllToAll,      Collective::kAllReduce, Collective::kReduce,
    Collective::kReduceScatter, Collective::kGather,    Collective::kScatter,
};

/// One of how many cases runs: sanitizers make everything slower.
#if defined(__SANITIZE_THREAD__)
inline constexpr std::size_t kThinning = 9;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t kThinning = 3;
#else
inline constexpr std::size_t kThinning = 1;
#endif

/// Every kThinning-th of the cases; which ones varies with `turn`.
std::vector<Case> thinned(const std::vector<Case>& cases, std::size_t turn);

}  // namespace smddp::test
