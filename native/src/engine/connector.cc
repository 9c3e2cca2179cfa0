#include "engine/connector.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/auth.h"
#include "base/host_id.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/socket.h"
#include "bootstrap/cause.h"
#include "bootstrap/exchange.h"
#include "bootstrap/prefix_store.h"
#include "engine/host_link.h"
#include "engine/host_topologies.h"
#include "engine/runtime_impl.h"
#include "provider/shm/shm_provider.h"
#include "transport/registry.h"
#include "transport/shm/shm_transport.h"

namespace smddp {
namespace {

constexpr std::size_t kPage = 4096;
// Collectives divide a staging half among the ranks of the host: a header and some data for each.
constexpr std::size_t kSmallestPiece = 128;

constexpr std::size_t kMarkDigits = 12;

// What a connection is for; each rank publishes an address for each.
const std::string kCollectives = "collectives";
const std::string kMessages = "messages";

std::size_t pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

/// How ranks reach each other, from SMDDP_TRANSPORT.
struct Links {
  bool shared_memory = true;  ///< inside a host; otherwise every rank counts as a host of its own
  bool between_hosts = true;  ///< whether there may be several hosts
  std::string transport = "tcp";  ///< between hosts
};

Result<Links> parse_links(const std::string& name) {
  if (name == "auto" || name == "shm+tcp") return Links{};
  if (name == "shm") return Links{.between_hosts = false};
  if (name == "shm+inproc") return Links{.transport = "inproc"};
  if (name == "shm+ofi") return Links{.transport = "ofi"};
  if (name == "tcp" || name == "ofi" || name == "inproc")
    return Links{.shared_memory = false, .transport = name};
  return Status{StatusCode::kConfig,
                "SMDDP_TRANSPORT=" + name + " is none of auto, shm, tcp, ofi, inproc"};
}

/// A few characters that are equal for equal `given`, for people.
std::string mark_of(const std::string& given) {
  return given.empty() ? "(none)" : to_hex(sha256(given)).substr(0, kMarkDigits);
}

/// What all ranks must have set alike, a line for each: it decides how they reach each other and
/// which plans they choose.
std::string common_settings(const Config& config) {
  const std::string& problem = config.costs_problem;
  return "SMDDP_TRANSPORT=" + config.transport +
         "\nSMDDP_CHUNK_BYTES=" + std::to_string(config.chunk_bytes) +
         "\nSMDDP_TOPOLOGY=" + mark_of(config.topology) +
         "\nSMDDP_COSTS=" + (problem.empty() ? mark_of(config.costs) : "(" + problem + ")") +
         "\nSMDDP_ORDER=" + config.order + "\nSMDDP_PARTIALS=" + config.partials +
         "\nSMDDP_ALGORITHM=" + (config.algorithm.empty() ? "(none)" : config.algorithm);
}

Result<MeasuredCosts> read_costs(const Config& config) {
  if (!config.costs_problem.empty())
    return Status{StatusCode::kConfig, "SMDDP_COSTS: " + config.costs_problem};
  return config.costs.empty() ? MeasuredCosts{} : decode_costs(config.costs);
}

class Connector {
 public:
  Connector(RuntimeImpl& runtime, const CommunicatorOptions& options, const Config& config,
            Deadline deadline)
      : runtime_(runtime), options_(options), config_(config), deadline_(deadline) {}

  Result<std::unique_ptr<Group>> run();

 private:
  Status introduce();
  Status link();
  Result<std::unique_ptr<Transport>> open_transport();
  Status publish(std::unique_ptr<Transport>& transport, const std::string& key);
  Status connect_transport(Transport& transport, const std::string& key);
  Status exchange_addresses();
  Status link_local_ranks();
  Result<Roster> meet(const std::string& round, const RankInfo& mine, const std::string& secret);
  Placement place() const;
  std::string describe_host() const;
  std::string listen_address() const;
  std::vector<Interface> rails() const;

  RuntimeImpl& runtime_;
  const CommunicatorOptions& options_;
  const Config& config_;
  const Deadline deadline_;

  Links links_;
  std::vector<Interface> interfaces_;  ///< to use, best first
  UniqueFd listener_;
  RankInfo mine_;
  std::string secret_;
  std::unique_ptr<Group> group_ = std::make_unique<Group>();
};

Result<std::unique_ptr<Group>> Connector::run() {
  Result<Links> links = parse_links(config_.transport);
  if (!links.ok()) return links.status();
  links_ = links.value();
  Result<std::vector<Interface>> interfaces =
      select_interfaces(config_.socket_ifname, list_interfaces());
  if (!interfaces.ok()) return interfaces.status();
  interfaces_ = std::move(interfaces).value();
  Result<Policy> policy = parse_policy(
      {.order = config_.order, .partials = config_.partials, .wanted = config_.algorithm});
  if (!policy.ok()) return policy.status();
  group_->policy = std::move(policy).value();
  group_->self = options_.rank;
  group_->labels = options_.labels;
  SMDDP_RETURN_IF_ERROR(introduce());
  if (Status linked = link(); !linked.ok()) {
    PrefixStore store{options_.store, "smddp/" + options_.name + "/cause"};
    return find_cause(store, options_.rank, options_.labels, linked);
  }
  log_line(LogLevel::kInfo, "rank " + std::to_string(options_.rank) + " of " +
                                std::to_string(options_.world) + ": group \"" + options_.name +
                                "\" is connected over " + group_->transport_name);
  return std::move(group_);
}

Status Connector::link() {
  const bool several_hosts = group_->placement.hosts() > 1;
  if (several_hosts) {
    if (!links_.between_hosts)
      return Status{StatusCode::kConfig, "SMDDP_TRANSPORT=shm, but the ranks are on several hosts"};
    SMDDP_RETURN_IF_ERROR(exchange_addresses());
  }
  Result<Topology> topology = assemble_topology(group_->placement, group_->ranks, config_.topology);
  if (!topology.ok()) return topology.status();
  group_->topology = std::move(topology).value();
  // All have met with equal settings, so this fails on all of them or on none.
  const Result<MeasuredCosts> measured = read_costs(config_);
  if (!measured.ok()) return measured.status();
  group_->policy.costs = costs_between(group_->topology, measured.value(), links_.transport);
  // After its last use of the store a rank 0 that leaves early harms nobody.
  SMDDP_RETURN_IF_ERROR(link_local_ranks());
  if (several_hosts) {
    SMDDP_RETURN_IF_ERROR(connect_transport(*group_->transport, kCollectives));
    SMDDP_RETURN_IF_ERROR(connect_transport(*group_->messages_between, kMessages));
  }
  const bool shm = group_->placement.hosts() < options_.world;
  group_->transport_name = !several_hosts ? "shm"
                           : shm          ? "shm+" + links_.transport
                                          : links_.transport;
  return Status{};
}

Placement Connector::place() const {
  std::vector<int> labels;
  for (int rank = 0; rank < options_.world; ++rank) {
    const auto same_host = [&](const RankInfo& other) {
      return other.host_id == group_->ranks[static_cast<std::size_t>(rank)].host_id;
    };
    const auto first = std::find_if(group_->ranks.begin(), group_->ranks.end(), same_host);
    labels.push_back(links_.shared_memory ? static_cast<int>(first - group_->ranks.begin()) : rank);
  }
  return Placement{labels};
}

Result<Roster> Connector::meet(const std::string& round, const RankInfo& mine,
                               const std::string& secret) {
  PrefixStore store{options_.store, "smddp/" + options_.name + "/" + round};
  return exchange(store,
                  Introduction{.mine = mine,
                               .world = options_.world,
                               .labels = options_.labels,
                               .job_secret = secret,
                               .settings = common_settings(config_)},
                  deadline_);
}

Status Connector::introduce() {
  Result<std::string> host = host_id(config_.host_id);
  if (!host.ok()) return host.status();
  mine_ = RankInfo{.rank = options_.rank,
                   .pid = ::getpid(),
                   .host_id = host.value(),
                   .host_name = runtime_.host_name(),
                   .abstract_name = "smddp-" + to_hex(random_bytes(12))};
  // Rank 0 certainly is the lowest rank of its host, so a job on one host needs no more than this.
  if (options_.rank == 0) mine_.host_topology = describe_host();
  Result<UniqueFd> listener = listen_abstract(mine_.abstract_name);
  if (!listener.ok()) return listener.status();
  listener_ = std::move(listener).value();
  Result<Roster> roster = meet("who", mine_, config_.job_secret);
  if (!roster.ok()) return roster.status();
  secret_ = roster.value().secret;
  group_->ranks = std::move(roster.value().ranks);
  group_->placement = place();
  return Status{};
}

Result<std::unique_ptr<Transport>> Connector::open_transport() {
  const TransportContext context{.self = options_.rank,
                                 .labels = options_.labels,
                                 .listen_interface = listen_address(),
                                 .rails = rails(),
                                 .stripe_bytes = config_.stripe_bytes,
                                 .tcp_congestion = config_.tcp_congestion,
                                 .wake = [&progress = runtime_.progress()] { progress.wake(); },
                                 .ofi = {.provider = config_.ofi_provider}};
  return make_transport(links_.transport, context);
}

Status Connector::publish(std::unique_ptr<Transport>& transport, const std::string& key) {
  Result<std::unique_ptr<Transport>> made = open_transport();
  if (!made.ok()) return made.status();
  transport = std::move(made).value();
  Result<std::string> address = transport->listen();
  if (!address.ok()) return address.status();
  mine_.addresses[key] = address.value();
  return Status{};
}

std::string Connector::describe_host() const {
  return config_.topology.empty() ? describe_own_host(interfaces_, links_.transport) : "";
}

std::string Connector::listen_address() const {
  if (!config_.listen_address.empty() || config_.socket_ifname.empty())
    return config_.listen_address;
  return interfaces_.front().address;
}

/// One interface for each rail of this host's topology, in the same order.
std::vector<Interface> Connector::rails() const {
  std::vector<Interface> rails;
  if (!config_.listen_address.empty()) return rails;
  for (const Interface& interface : interfaces_) {
    const auto is_same = [&](const Interface& known) { return known.name == interface.name; };
    // Other addresses of one card are no other rail.
    if (!interface.is_loopback && std::none_of(rails.begin(), rails.end(), is_same))
      rails.push_back(interface);
  }
  return rails;
}

Status Connector::exchange_addresses() {
  // Most jobs have equal hosts, and the description of rank 0's is there already.
  if (options_.rank != 0 && group_->local_self() == 0) {
    std::string own = describe_host();
    if (own != group_->ranks.front().host_topology) mine_.host_topology = std::move(own);
  }
  SMDDP_RETURN_IF_ERROR(publish(group_->transport, kCollectives));
  SMDDP_RETURN_IF_ERROR(publish(group_->messages_between, kMessages));
  Result<Roster> roster = meet("where", mine_, secret_);
  if (!roster.ok()) return roster.status();
  group_->ranks = std::move(roster.value().ranks);
  return Status{};
}

Status Connector::link_local_ranks() {
  const std::vector<Rank>& locals = group_->local_ranks();
  if (config_.chunk_bytes / locals.size() < kSmallestPiece) {
    return Status{StatusCode::kConfig, "SMDDP_CHUNK_BYTES=" + std::to_string(config_.chunk_bytes) +
                                           " is too small for " + std::to_string(locals.size()) +
                                           " ranks on one host; set at least " +
                                           std::to_string(locals.size() * kSmallestPiece)};
  }
  const int local_size = static_cast<int>(locals.size());
  const std::size_t board_bytes = pages(Board::bytes_needed(options_.world, local_size));
  const std::size_t region_bytes = pages(ShmRegion::bytes_needed(local_size, config_.chunk_bytes));
  const std::size_t segment_bytes =
      board_bytes + region_bytes + ShmTransport::bytes_needed(local_size);
  HostLinkRequest request{.members = {},
                          .labels = options_.labels,
                          .self = group_->local_self(),
                          .segment_bytes = segment_bytes,
                          .secret = secret_,
                          .context = options_.name,
                          .listening_fd = listener_.get()};
  for (const Rank rank : locals)
    request.members.push_back(group_->ranks[static_cast<std::size_t>(rank)]);
  Result<HostLink> link = link_host(runtime_, request, deadline_);
  if (!link.ok()) return link.status();
  group_->segment = std::move(link.value().segment);
  const auto memory = group_->segment.bytes();
  group_->board = std::make_unique<Board>(memory, options_.world, local_size, request.self);
  group_->bell = std::make_unique<LocalBell>(*group_->board, std::move(link.value().peers));
  const ShmRegion region{memory.subspan(board_bytes, region_bytes), config_.chunk_bytes};
  group_->provider = std::make_unique<ShmProvider>(
      region,
      ShmProvider::Members{
          .ranks = locals, .heaps = std::move(link.value().heaps), .self = request.self},
      *group_->bell, config_.move_apart);
  if (local_size > 1) {
    group_->messages_here = std::make_unique<ShmTransport>(
        memory.subspan(board_bytes + region_bytes),
        ShmTransport::Members{.ranks = locals, .labels = options_.labels, .self = request.self},
        *group_->bell);
  }
  return Status{};
}

Status Connector::connect_transport(Transport& transport, const std::string& key) {
  std::vector<PeerAddress> peers;
  for (const RankInfo& info : group_->ranks) {
    if (group_->placement.host_of(info.rank) == group_->placement.host_of(options_.rank)) continue;
    const auto address = info.addresses.find(key);
    if (address == info.addresses.end()) {
      return Status{StatusCode::kConfig, group_->name_of(info.rank) + " offers no " +
                                             links_.transport + " address for " + key};
    }
    peers.push_back({info.rank, address->second});
  }
  return transport.connect(peers, secret_, options_.name + "/" + key, deadline_);
}

}  // namespace

Result<std::unique_ptr<Group>> connect_group(RuntimeImpl& runtime,
                                             const CommunicatorOptions& options,
                                             const Config& config, Deadline deadline) {
  return Connector{runtime, options, config, deadline}.run();
}

std::unique_ptr<Group> make_lonely_group(RuntimeImpl& runtime, const Config& config) {
  auto group = std::make_unique<Group>();
  group->ranks.push_back(RankInfo{.rank = 0, .pid = ::getpid(), .host_name = runtime.host_name()});
  Result<Mapping> memory = Mapping::anonymous(pages(Board::bytes_needed(1, 1)));
  if (!memory.ok()) return nullptr;
  group->segment = std::move(memory).value();
  group->board = std::make_unique<Board>(group->segment.bytes(), 1, 1, 0);
  group->bell = std::make_unique<LocalBell>(*group->board,
                                            std::vector<std::shared_ptr<PeerProcess>>{nullptr});
  group->transport_name = "none";
  group->topology = lonely_topology(config);
  return group;
}

}  // namespace smddp
