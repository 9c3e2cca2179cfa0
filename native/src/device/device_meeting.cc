#include "device/device_meeting.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <utility>

#include "base/host_id.h"
#include "base/log.h"
#include "engine/device_part.h"

namespace smddp {
namespace {

constexpr int kAddsFloat8 = 9;  // sm_90

/// Joining NCCL, and then a barrier: who is through it knows that all have joined.
class Join final : public DevicePart {
 public:
  explicit Join(std::shared_ptr<NcclMember> member) : member_(std::move(member)) {}
  bool is_all() const noexcept override { return false; }
  Status progress() override { return member_->look(); }
  void end(const Status&) noexcept override {}

 private:
  const std::shared_ptr<NcclMember> member_;
};

bool nccl_shares_gpus() {
  const char* const value = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return value != nullptr && std::string_view{value} == "1";
}

std::uint64_t this_machine(Rank rank) {
  const std::string id = boot_id();
  return id.empty() ? static_cast<std::uint64_t>(rank) : std::hash<std::string>{}(id);
}

int cta_policy_of(const std::string& name) {
  if (name == "efficiency") return 1;
  return name == "zero" ? 2 : nccl::Config::kUnset;
}

int unset_if_zero(int ctas) { return ctas == 0 ? nccl::Config::kUnset : ctas; }

}  // namespace

Status DeviceMeeting::go_on(Communicator& members) {
  while (step_ != Step::kMet) {
    if (!pending_) SMDDP_RETURN_IF_ERROR(begin(members));
    if (wanted_ == GpuCollectives::kHost) break;
    SMDDP_RETURN_IF_ERROR(pending_->wait(Deadline::never()));
    pending_.reset();
    SMDDP_RETURN_IF_ERROR(end(members));
  }
  return {};
}

Status DeviceMeeting::begin(Communicator& members) {
  switch (step_) {
    case Step::kFacts:
      return begin_facts(members);
    case Step::kIds:
      return begin_ids(members);
    default:
      return begin_join(members);
  }
}

Status DeviceMeeting::begin_facts(Communicator& members) {
  const Result<GpuCollectives> wanted = parse_gpu_collectives(config_.gpu_collectives);
  if (!wanted.ok()) return wanted.status();
  wanted_ = wanted.value();
  GpuFacts facts{.gpu = gpu_->identity(),
                 .machine = this_machine(options_.rank),
                 .wanted = wanted_,
                 .shares_gpus = nccl_shares_gpus()};
  if (wanted_ != GpuCollectives::kHost) {
    Result<nccl::Library> library = nccl::load_library(config_.nccl_paths);
    if (library.ok()) {
      facts.nccl_version = library.value().version;
      nccl_ = std::make_shared<NcclMember>(gpu_, std::move(library).value());
    } else {
      log_line(LogLevel::kInfo, library.status().message());
    }
  }
  mine_ = encode(facts);
  facts_.resize(GpuFacts::kBytes * static_cast<std::size_t>(options_.world));
  pending_ = members.submit({.collective = Collective::kAllGather,
                             .in = mine_.data(),
                             .out = facts_.data(),
                             .count = mine_.size(),
                             .name = "what GPUs there are"});
  return {};
}

Status DeviceMeeting::end(const Communicator& members) {
  switch (step_) {
    case Step::kFacts:
      placement_ = Placement{members.topology().host_of_rank};
      SMDDP_RETURN_IF_ERROR(choose_from_facts());
      step_ = nccl_ != nullptr ? Step::kIds : Step::kMet;
      return {};
    case Step::kIds:
      step_ = Step::kJoin;
      return {};
    default:
      step_ = Step::kMet;
      return {};
  }
}

Status DeviceMeeting::choose_from_facts() {
  std::vector<GpuFacts> facts;
  for (std::size_t at = 0; at < facts_.size(); at += GpuFacts::kBytes)
    facts.push_back(decode_gpu_facts(std::span{facts_}.subspan(at, GpuFacts::kBytes)));
  const Result<GpuChoice> choice = choose(facts, placement_, options_.labels);
  if (!choice.ok()) return choice.status();
  way_ = choice.value().way;
  // One rank on each host has nobody to reduce with before it goes to the others.
  if (way_ == GpuCollectives::kHierarchical && placement_.hosts() == options_.world)
    way_ = GpuCollectives::kHost;
  if (way_ == GpuCollectives::kHost) nccl_.reset();
  adds_float8_ = std::all_of(facts.begin(), facts.end(),
                             [](const GpuFacts& one) { return one.gpu.capability >= kAddsFloat8; });
  if (options_.rank == 0 && !choice.value().why_not.empty()) {
    log_line(LogLevel::kWarn,
             "group \"" + options_.name +
                 "\": CUDA tensors go through host memory and not by NCCL, because " +
                 choice.value().why_not + " (SMDDP_GPU_COLLECTIVES=host says that this is meant)");
  }
  return {};
}

Rank DeviceMeeting::first_rank() const {
  if (way_ != GpuCollectives::kHierarchical) return 0;
  return placement_.ranks_on(placement_.host_of(options_.rank)).front();
}

Status DeviceMeeting::begin_ids(Communicator& members) {
  mine_.assign(sizeof(nccl::UniqueId), std::byte{0});
  if (first_rank() == options_.rank) {
    const Result<nccl::UniqueId> id = nccl::Communicator::make_id(nccl_->library());
    if (!id.ok()) return id.status();
    std::memcpy(mine_.data(), id.value().bytes.data(), mine_.size());
  }
  ids_.resize(mine_.size() * static_cast<std::size_t>(options_.world));
  pending_ = members.submit({.collective = Collective::kAllGather,
                             .in = mine_.data(),
                             .out = ids_.data(),
                             .count = mine_.size(),
                             .name = "NCCL's ids"});
  return {};
}

nccl::Membership DeviceMeeting::membership() const {
  nccl::Membership membership{.rank = options_.rank,
                              .world = options_.world,
                              .name = options_.name,
                              .min_ctas = unset_if_zero(config_.nccl_min_ctas),
                              .max_ctas = unset_if_zero(config_.nccl_max_ctas),
                              .cta_policy = cta_policy_of(config_.nccl_cta_policy)};
  if (way_ == GpuCollectives::kHierarchical) {
    membership.rank = placement_.local_rank(options_.rank);
    membership.world = placement_.ranks_on_smallest_host();
  }
  const std::byte* const id =
      ids_.data() + static_cast<std::size_t>(first_rank()) * sizeof(nccl::UniqueId);
  std::memcpy(membership.id.bytes.data(), id, sizeof(nccl::UniqueId));
  return membership;
}

Status DeviceMeeting::begin_join(Communicator& members) {
  SMDDP_RETURN_IF_ERROR(nccl_->begin(membership()));
  pending_ = members.submit({.device_part = std::make_shared<Join>(nccl_), .name = "joining NCCL"});
  return {};
}

}  // namespace smddp
