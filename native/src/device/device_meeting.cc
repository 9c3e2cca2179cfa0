#include "device/device_meeting.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/host_id.h"
#include "base/log.h"
#include "base/rank_label.h"
#include "engine/device_part.h"

namespace smddp {
namespace {

constexpr int kAddsFloat8 = 9;  // sm_90
constexpr std::chrono::seconds kTrialTime{10};
constexpr std::size_t kLeastStaging = 65'536;  // pieces of it for all ranks
constexpr std::size_t kPage = 4096;

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

/// What a rank tells the others of their memory.
struct Verdict {
  std::uint64_t is_good = 0;                   ///< not 0: it reaches theirs
  cuda::Address slabs[cuda::kMostRanks] = {};  ///< where its GPU has the slabs of its host's ranks
};
Verdict verdict_of(const std::vector<std::byte>& verdicts, Rank rank) {
  Verdict verdict;
  std::memcpy(&verdict, verdicts.data() + static_cast<std::size_t>(rank) * sizeof(verdict),
              sizeof(verdict));
  return verdict;
}

int unset_if_zero(int ctas) { return ctas == 0 ? nccl::Config::kUnset : ctas; }

}  // namespace

Status DeviceMeeting::go_on(Communicator& members) {
  if (!waiting_) waiting_.emplace();
  while (step_ != Step::kMet) {
    if (!pending_) SMDDP_RETURN_IF_ERROR(begin(members));
    if (wanted_ == GpuCollectives::kHost) break;
    SMDDP_RETURN_IF_ERROR(pending_->wait(Deadline::never()));
    pending_.reset();
    SMDDP_RETURN_IF_ERROR(end(members));
  }
  waiting_.reset();
  return {};
}

void DeviceMeeting::give_up() {
  if (ipc_ != nullptr) ipc_->abort();
  if (member_ != nullptr) member_->abort();
  ipc_.reset();
  waiting_.reset();
}

Status DeviceMeeting::begin(Communicator& members) {
  switch (step_) {
    case Step::kFacts:
      return begin_facts(members);
    case Step::kCards:
      return begin_cards(members);
    case Step::kTry:
      return try_out(members);
    default:
      return begin_join(members);
  }
}

Status DeviceMeeting::begin_facts(Communicator& members) {
  const Result<GpuCollectives> wanted = parse_gpu_collectives(config_.gpu_collectives);
  if (!wanted.ok()) return wanted.status();
  wanted_ = wanted.value();
  if (config_.gpu_staging_bytes < kLeastStaging || config_.gpu_staging_bytes % kPage != 0)
    return {StatusCode::kConfig,
            "gpu_staging_bytes must be a multiple of 4096, and at least 65536"};
  GpuFacts facts{.gpu = gpu_->identity(),
                 .machine = this_machine(options_.rank),
                 .process = this_process(),
                 .staging = config_.gpu_staging_bytes,
                 .wanted = wanted_,
                 .shares_gpus = nccl_shares_gpus()};
  if (wanted_ != GpuCollectives::kHost) {
    const Result<nccl::Library> library = nccl::load_library(config_.nccl_paths);
    if (library.ok()) nccl_ = library.value();
    const Result<cuda::KernelImage> kernels = cuda::load_kernel_image(config_.gpu_kernels);
    if (kernels.ok()) kernels_ = kernels.value();
    if (nccl_) facts.nccl_version = nccl_->version;
    if (kernels_) facts.kernels_version = kernels_->version;
    for (const Status& problem : {library.status(), kernels.status()})
      if (!problem.ok()) log_line(LogLevel::kInfo, problem.message());
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
      SMDDP_RETURN_IF_ERROR(choose_from_facts(members));
      step_ = choice_.way != GpuCollectives::kHost ? Step::kCards : Step::kMet;
      return {};
    case Step::kCards:
      step_ = Step::kJoin;
      return {};
    default:
      break;
  }
  const bool was_trial = std::exchange(step_, Step::kMet) == Step::kTry;
  if (choice_.inside != GpuCollectives::kIpc) return {};
  const Result<bool> can = can_all();
  if (!can.ok() || !can.value()) {
    if (ipc_ != nullptr) was_trial ? ipc_->abort() : ipc_->discard();
    ipc_.reset();
    return can.status();
  }
  if (was_trial) {
    member_ = std::move(ipc_);
  } else {
    learn_slabs();
    step_ = Step::kTry;
  }
  return {};
}

Status DeviceMeeting::choose_from_facts(const Communicator& members) {
  placement_ = Placement{members.topology().host_of_rank};
  std::vector<GpuFacts> facts;
  for (std::size_t at = 0; at < facts_.size(); at += GpuFacts::kBytes)
    facts.push_back(decode_gpu_facts(std::span{facts_}.subspan(at, GpuFacts::kBytes)));
  const Result<GpuChoice> choice = choose(facts, placement_, options_.labels);
  if (!choice.ok()) return choice.status();
  choice_ = choice.value();
  // One rank on each host has nobody to reduce with before it goes to the others.
  if (choice_.way == GpuCollectives::kHierarchical && placement_.hosts() == options_.world)
    choice_ = {};
  terms_.opens_tensors = config_.gpu_open_tensors;
  for (const GpuFacts& one : facts) terms_.staging = std::min(terms_.staging, one.staging);
  adds_float8_ = std::all_of(facts.begin(), facts.end(),
                             [](const GpuFacts& one) { return one.gpu.capability >= kAddsFloat8; });
  if (choice_.way == GpuCollectives::kHost && !choice_.why_not.empty()) warn(choice_.why_not);
  return {};
}

void DeviceMeeting::warn(const std::string& why) const {
  if (options_.rank != 0) return;
  log_line(LogLevel::kWarn, "group \"" + options_.name +
                                "\": CUDA tensors go through host memory, because " + why +
                                " (SMDDP_GPU_COLLECTIVES=host says that this is meant)");
}

std::vector<Rank> DeviceMeeting::ranks_inside() const {
  if (choice_.way == GpuCollectives::kHierarchical)
    return placement_.ranks_on(placement_.host_of(options_.rank));
  std::vector<Rank> all(static_cast<std::size_t>(options_.world));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

HostPlace DeviceMeeting::place_inside() const {
  const std::vector<Rank> ranks = ranks_inside();
  const auto self = std::find(ranks.begin(), ranks.end(), options_.rank);
  return {static_cast<Rank>(self - ranks.begin()), static_cast<int>(ranks.size())};
}

/// What the others need of this rank: NCCL's id, from the first rank, or where its memory is. Zeros
/// where there is nothing of that.
Result<std::vector<std::byte>> DeviceMeeting::card() {
  if (choice_.inside == GpuCollectives::kNccl) {
    std::vector<std::byte> card(sizeof(nccl::UniqueId));
    if (place_inside().rank != 0) return card;
    const Result<nccl::UniqueId> id = nccl::Communicator::make_id(*nccl_);
    if (!id.ok()) return id.status();
    std::memcpy(card.data(), id.value().bytes.data(), card.size());
    return card;
  }
  auto member = IpcMember::create(gpu_, *kernels_, place_inside(), terms_);
  if (member.ok()) {
    ipc_ = std::move(member).value();
    return ipc_->card();
  }
  log_line(LogLevel::kWarn, member.status().message());
  return std::vector<std::byte>(IpcSlot::kCardBytes);
}

Status DeviceMeeting::begin_cards(Communicator& members) {
  Result<std::vector<std::byte>> made = card();
  if (!made.ok()) return made.status();
  mine_ = std::move(made).value();
  cards_.resize(mine_.size() * static_cast<std::size_t>(options_.world));
  pending_ = members.submit({.collective = Collective::kAllGather,
                             .in = mine_.data(),
                             .out = cards_.data(),
                             .count = mine_.size(),
                             .name = "how to join"});
  return {};
}

nccl::Membership DeviceMeeting::membership() const {
  const HostPlace place = place_inside();
  nccl::Membership membership{.rank = place.rank,
                              .world = place.ranks,
                              .name = options_.name,
                              .min_ctas = unset_if_zero(config_.nccl_min_ctas),
                              .max_ctas = unset_if_zero(config_.nccl_max_ctas),
                              .cta_policy = cta_policy_of(config_.nccl_cta_policy)};
  const std::byte* const id =
      cards_.data() + static_cast<std::size_t>(ranks_inside().front()) * sizeof(nccl::UniqueId);
  std::memcpy(membership.id.bytes.data(), id, sizeof(nccl::UniqueId));
  return membership;
}

Status DeviceMeeting::begin_join(Communicator& members) {
  return choice_.inside == GpuCollectives::kNccl ? join(members) : reach(members);
}

Status DeviceMeeting::join(Communicator& members) {
  const auto nccl = std::make_shared<NcclMember>(gpu_, *nccl_);
  nccl->set_adds_float8(adds_float8_);
  member_ = nccl;
  SMDDP_RETURN_IF_ERROR(nccl->begin(membership()));
  pending_ = members.submit({.device_part = std::make_shared<Join>(nccl), .name = "joining NCCL"});
  return {};
}

Status DeviceMeeting::reach(Communicator& members) {
  const Status none{StatusCode::kSystem, "there is none of this rank"};
  tell(members, ipc_ != nullptr ? ipc_->reach(members, ranks_inside(), cards_) : none);
  return {};
}

Status DeviceMeeting::try_out(Communicator& members) {
  const Deadline deadline =
      Deadline::after(std::min<std::chrono::milliseconds>(kTrialTime, config_.timeout / 2));
  tell(members, ipc_->try_out(deadline, [&] { return !members.refusal().ok(); }));
  return {};
}

void DeviceMeeting::tell(Communicator& members, const Status& outcome) {
  if (!outcome.ok()) log_line(LogLevel::kWarn, "GPU memory of other ranks: " + outcome.message());
  Verdict verdict{.is_good = outcome.ok()};
  if (outcome.ok()) std::ranges::copy(ipc_->reached(), verdict.slabs);
  mine_.resize(sizeof(verdict));
  std::memcpy(mine_.data(), &verdict, sizeof(verdict));
  verdicts_.resize(sizeof(verdict) * static_cast<std::size_t>(options_.world));
  pending_ = members.submit({.collective = Collective::kAllGather,
                             .in = mine_.data(),
                             .out = verdicts_.data(),
                             .count = mine_.size(),
                             .name = "reaching the memory of GPUs"});
}

void DeviceMeeting::learn_slabs() {
  const std::vector<Rank> ranks = ranks_inside();
  for (std::size_t peer = 0; peer < ranks.size(); ++peer) {
    const Verdict theirs = verdict_of(verdicts_, ranks[peer]);
    ipc_->set_slab_at(static_cast<Rank>(peer), theirs.slabs[place_inside().rank]);
  }
}

Result<bool> DeviceMeeting::can_all() {
  Rank rank = 0;
  while (rank < options_.world && verdict_of(verdicts_, rank).is_good != 0) ++rank;
  if (rank == options_.world) return true;
  const std::string why = "rank " + std::to_string(label_of(options_.labels, rank)) +
                          " cannot use the memory of the others' GPUs";
  if (wanted_ != GpuCollectives::kAuto)
    return Status{StatusCode::kConfig, "SMDDP_GPU_COLLECTIVES: " + why + ", as its log says"};
  choice_ = {};
  warn(why);
  return false;
}

}  // namespace smddp
