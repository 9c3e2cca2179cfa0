#include "provider/nccl/calls.h"

#include <algorithm>
#include <string>

#include "provider/nccl/convert.h"

namespace smddp::nccl {
namespace {

bool reduces(const Request& request) {
  return request.message == MessageSide::kNone &&
         (request.collective == Collective::kAllReduce ||
          request.collective == Collective::kReduce ||
          request.collective == Collective::kReduceScatter);
}

/// Elements of a rank's block in `counts`, of which none mean `count` for each.
std::size_t count_at(const std::vector<std::size_t>& counts, std::size_t count, int rank) {
  return counts.empty() ? count : counts[static_cast<std::size_t>(rank)];
}

bool is_uneven(const std::vector<std::size_t>& counts) {
  return std::any_of(counts.begin(), counts.end(),
                     [&](std::size_t count) { return count != counts.front(); });
}

/// Some calls that NCCL starts together; stops at the first that fails.
class Group {
 public:
  explicit Group(const Table& table) : table_(table), code_(table.group_start()) {}

  template <typename Call>
  void add(Call call) {
    if (code_ == ResultCode::kSuccess) code_ = goes_on(call());
  }
  /// Has to be called, also after a failure: NCCL counts starts and ends.
  ResultCode end() {
    const ResultCode ended = table_.group_end();
    return code_ == ResultCode::kSuccess ? ended : code_;
  }

 private:
  // Inside a group a call of a communicator that does not block is only noted.
  static ResultCode goes_on(ResultCode code) {
    return code == ResultCode::kInProgress ? ResultCode::kSuccess : code;
  }
  const Table& table_;
  ResultCode code_;
};

/// The calls of one operation. Offsets are bytes.
class Calls {
 public:
  Calls(const Target& target, const Request& request, Stream stream)
      : table_(target.library.table),
        target_(target),
        request_(request),
        stream_(stream),
        bytes_(size_of(request.dtype)) {
    if (reduces(request)) reduced_ = *reduced_as(request.dtype, request.op);
  }

  ResultCode make() const {
    if (request_.message != MessageSide::kNone) return message();
    switch (request_.collective) {
      case Collective::kAllReduce:
        return all_reduce();
      case Collective::kReduce:
        return reduce();
      case Collective::kBroadcast:
        return broadcast();
      case Collective::kAllGather:
        return all_gather();
      case Collective::kReduceScatter:
        return reduce_scatter();
      case Collective::kAllToAll:
        return all_to_all();
      case Collective::kGather:
        return gather();
      case Collective::kScatter:
        return scatter();
      case Collective::kBarrier:
        break;  // check_request refuses it
    }
    return ResultCode::kInvalidArgument;
  }

 private:
  ResultCode all_reduce() const {
    return table_.all_reduce(request_.in, request_.out, request_.count, reduced_.type, reduced_.op,
                             target_.comm, stream_);
  }

  ResultCode reduce() const {
    return table_.reduce(request_.in, request_.out, request_.count, reduced_.type, reduced_.op,
                         request_.root, target_.comm, stream_);
  }

  ResultCode broadcast() const {
    const bool from_out = target_.rank != request_.root || request_.in == nullptr;
    return broadcast_block(from_out ? request_.out : request_.in, request_.out, request_.count,
                           request_.root);
  }

  ResultCode all_gather() const {
    if (!is_uneven(request_.counts)) {
      return table_.all_gather(request_.in, request_.out, bytes_ * count_of(0), DataType::kInt8,
                               target_.comm, stream_);
    }
    return for_each_rank([&](Rank rank, std::size_t offset, std::size_t count) {
      std::byte* const block = out() + offset;
      return broadcast_block(rank == target_.rank ? request_.in : block, block, count, rank);
    });
  }

  ResultCode reduce_scatter() const {
    if (!is_uneven(request_.counts)) {
      return table_.reduce_scatter(request_.in, request_.out, count_of(0), reduced_.type,
                                   reduced_.op, target_.comm, stream_);
    }
    return for_each_rank([&](Rank rank, std::size_t offset, std::size_t count) {
      return table_.reduce(in() + offset, rank == target_.rank ? out() : nullptr, count,
                           reduced_.type, reduced_.op, rank, target_.comm, stream_);
    });
  }

  ResultCode all_to_all() const {
    Group group{table_};
    std::size_t sent = 0;
    std::size_t received = 0;
    for (Rank peer = 0; peer < target_.world; ++peer) {
      const std::size_t out_count = count_at(request_.send_counts, request_.count, peer);
      group.add([&] { return send_block(in() + sent, out_count, peer); });
      group.add([&] { return recv_block(out() + received, count_of(peer), peer); });
      sent += out_count * bytes_;
      received += count_of(peer) * bytes_;
    }
    return group.end();
  }

  ResultCode gather() const {
    Group group{table_};
    group.add([&] { return send_block(in(), count_of(target_.rank), request_.root); });
    std::size_t offset = 0;
    for (Rank peer = 0; target_.rank == request_.root && peer < target_.world; ++peer) {
      group.add([&] { return recv_block(out() + offset, count_of(peer), peer); });
      offset += count_of(peer) * bytes_;
    }
    return group.end();
  }

  ResultCode scatter() const {
    Group group{table_};
    std::size_t offset = 0;
    for (Rank peer = 0; target_.rank == request_.root && peer < target_.world; ++peer) {
      group.add([&] { return send_block(in() + offset, count_of(peer), peer); });
      offset += count_of(peer) * bytes_;
    }
    group.add([&] { return recv_block(out(), count_of(target_.rank), request_.root); });
    return group.end();
  }

  ResultCode message() const {
    return request_.message == MessageSide::kSend
               ? send_block(in(), request_.count, request_.peer)
               : recv_block(out(), request_.count, request_.peer);
  }

  const std::byte* in() const { return static_cast<const std::byte*>(request_.in); }
  std::byte* out() const { return static_cast<std::byte*>(request_.out); }
  std::size_t count_of(Rank rank) const { return count_at(request_.counts, request_.count, rank); }

  /// One call for each rank's block, as one group. Empty blocks need none, and all ranks know them.
  template <typename Call>
  ResultCode for_each_rank(Call call) const {
    Group group{table_};
    std::size_t offset = 0;
    for (Rank rank = 0; rank < target_.world; ++rank) {
      const std::size_t count = count_of(rank);
      if (count > 0) group.add([&] { return call(rank, offset, count); });
      offset += count * bytes_;
    }
    return group.end();
  }

  ResultCode broadcast_block(const void* from, void* to, std::size_t count, Rank root) const {
    return table_.broadcast(from, to, bytes_ * count, DataType::kInt8, root, target_.comm, stream_);
  }
  ResultCode send_block(const std::byte* from, std::size_t count, Rank peer) const {
    if (count == 0) return ResultCode::kSuccess;
    return table_.send(from, bytes_ * count, DataType::kInt8, peer, target_.comm, stream_);
  }
  ResultCode recv_block(std::byte* to, std::size_t count, Rank peer) const {
    if (count == 0) return ResultCode::kSuccess;
    return table_.recv(to, bytes_ * count, DataType::kInt8, peer, target_.comm, stream_);
  }

  const Table& table_;
  const Target& target_;
  const Request& request_;
  const Stream stream_;
  const std::size_t bytes_;
  Reduction reduced_{};
};

}  // namespace

Status check_request(const Request& request, int version) {
  if (request.message != MessageSide::kNone) {
    if (request.peer != kAnyRank && request.tag == 0) return {};
    return {StatusCode::kInvalidArgument,
            "messages between GPUs have neither tags nor an open source: use tag 0 and name the "
            "sender, or CPU tensors"};
  }
  if (request.collective == Collective::kBarrier) {
    return {StatusCode::kInvalidArgument,
            "NCCL has no barrier: use an all_reduce of one element, and wait for its stream"};
  }
  if (!reduces(request) || reduced_as(request.dtype, request.op)) return {};
  return {StatusCode::kInvalidArgument,
          std::string{name_of(request.collective)} + ": NCCL " + version_text(version) +
              " has no " + std::string{name_of(request.op)} + " of " +
              std::string{name_of(request.dtype)} + "; convert the tensor, or move it with .cpu()"};
}

ResultCode call_nccl(const Target& target, std::span<const Request> requests, Stream stream) {
  if (requests.size() == 1) return Calls{target, requests.front(), stream}.make();
  Group group{target.library.table};
  for (const Request& request : requests)
    group.add([&] { return Calls{target, request, stream}.make(); });
  return group.end();
}

}  // namespace smddp::nccl
