#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "smddp/status.h"
#include "smddp/types.h"

namespace smddp {

/// What a rank tells the others about itself.
struct RankInfo {
  Rank rank = -1;
  std::int64_t pid = 0;
  std::string host_id{};    ///< equal = perhaps the same host (host_id.h)
  std::string host_name{};  ///< for messages only
  /// The transport's name -> what its `listen()` returned.
  std::map<std::string, std::string> addresses{};
  std::string abstract_name{};  ///< where ranks of its host can reach it; empty = nowhere
  /// What its host looks like (encode(HostTopology)), where it speaks for its host; otherwise
  /// empty.
  std::string host_topology{};

  friend bool operator==(const RankInfo&, const RankInfo&) = default;
};

/// "rank 3 (hostB, pid 123)". `labels` are what people call the ranks, see `label_of`.
std::string name_of(const RankInfo& info, const std::vector<Rank>& labels);

/// kInvalidArgument when the host's topology has more than 256 KiB, another text more than 4096
/// bytes, or there are more than 32 addresses.
Result<std::string> encode(const RankInfo& info);
/// kInvalidArgument when the bytes are not exactly one encoded RankInfo.
Result<RankInfo> decode_rank_info(std::string_view bytes);

}  // namespace smddp
