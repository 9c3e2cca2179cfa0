#include "transport/harness.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>

#include "memory/mapping.h"
#include "transport/shm/shm_transport.h"

namespace smddp::test {

std::vector<std::byte> pattern(unsigned seed, std::size_t bytes) {
  std::vector<std::byte> data(bytes);
  // In words: the thread sanitizer makes a loop over the bytes of the largest messages slow.
  std::uint64_t word = seed * 0x9e3779b97f4a7c15 + 1;
  for (std::size_t i = 0; i < bytes; i += sizeof(word)) {
    word = word * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t mixed = word ^ (word >> 29);
    std::memcpy(data.data() + i, &mixed, std::min(sizeof(mixed), bytes - i));
  }
  return data;
}

Envelope envelope(unsigned seed) {
  Envelope result;
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = static_cast<std::byte>((seed * 17 + i) & 0xff);
  return result;
}

void RecordingSink::complete(Token token, Status status) {
  if (!in_progress)
    faults.push_back("token " + std::to_string(token) + " completed outside of progress");
  if (is_complete(token)) faults.push_back("token " + std::to_string(token) + " completed twice");
  if (!status.ok())
    faults.push_back("token " + std::to_string(token) + " failed: " + status.message());
  completed.emplace(token, completed.size());
  if (on_event) on_event();
}

void RecordingSink::mismatch(Rank peer, const Envelope& theirs) {
  if (!in_progress) faults.push_back("mismatch outside of progress");
  mismatches.emplace_back(peer, theirs);
  if (on_event) on_event();
}

void RecordingSink::notice(Rank peer, std::span<const std::byte> bytes) {
  if (!in_progress) faults.push_back("notice outside of progress");
  notices.emplace_back(peer,
                       std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (on_event) on_event();
}

void RecordingSink::peer_closed(Rank peer, const Status& why) {
  if (!in_progress) faults.push_back("peer_closed outside of progress");
  if (why.code() != StatusCode::kPeerLost) faults.push_back("peer_closed with another code");
  if (why.message().find("rank " + std::to_string(peer)) == std::string::npos) {
    faults.push_back("peer_closed does not name the rank: " + why.message());
  }
  for (const auto& [rank, status] : closed) {
    if (rank == peer) faults.push_back("rank " + std::to_string(peer) + " closed twice");
  }
  closed.emplace_back(peer, why);
  if (on_event) on_event();
}

namespace {

std::vector<Rank> test_labels() {
  std::vector<Rank> labels;
  for (Rank one = 0; one < 16; ++one) labels.push_back(100 + one);
  return labels;
}

/// Rings for every rank at any time: these tests have no board that says who sleeps.
class EventBell final : public PeerBell {
 public:
  explicit EventBell(const World& world) {
    for (const auto& rank : world) events_.push_back(rank->wake_event.get());
  }
  void ring() noexcept override {
    for (std::size_t local = 0; local < events_.size(); ++local) ring_one(static_cast<int>(local));
  }
  void ring_one(int local) noexcept override {
    const std::uint64_t one = 1;
    if (::write(events_[static_cast<std::size_t>(local)], &one, sizeof(one)) < 0)
      return;  // the counter is full: the sleeper wakes anyway
  }

 private:
  std::vector<int> events_;
};

/// Ranks of one host, as threads that share one mapping.
World shared_memory_world(int size) {
  struct Shared {
    Mapping memory;
    EventBell bell;
  };
  World world;
  std::vector<Rank> ranks;
  for (Rank rank = 0; rank < size; ++rank) {
    world.push_back(std::make_unique<TestRank>(rank));
    ranks.push_back(rank);
  }
  auto memory = Mapping::anonymous(ShmTransport::bytes_needed(size));
  const auto shared = std::make_shared<Shared>(Shared{std::move(memory).value(), EventBell{world}});
  for (auto& rank : world) {
    rank->shared = shared;
    rank->transport = std::make_unique<ShmTransport>(
        shared->memory.bytes(),
        ShmTransport::Members{.ranks = ranks, .labels = test_labels(), .self = rank->self},
        shared->bell);
    REQUIRE(rank->watch().ok());
  }
  return world;
}

constexpr std::array kLoopbackRails{"127.0.0.1", "127.0.0.2", "127.0.0.3"};

void use_rails(TransportContext& context, std::size_t rails) {
  if (context.listen_interface.empty()) context.listen_interface = kLoopbackRails[0];
  for (std::size_t i = 0; i < rails; ++i)
    context.rails.push_back({.name = "lo", .address = kLoopbackRails[i], .is_loopback = true});
  context.stripe_bytes = std::size_t{16} << 10;
}

bool has_rails(const std::string& name) {
  return name == kRails || name == kRmaRailsOfi || name == kTaggedRailsOfi;
}

TransportContext context_for(const std::string& name, Rank rank) {
  TransportContext context;
  context.self = rank;
  context.labels = test_labels();
  context.ofi.provider = "tcp";
  context.ofi.rma = name == kRmaOfi || name == kRmaRailsOfi;
  context.ofi.wait = name != kTaggedOfi;
  return context;
}

/// What the registry calls the transport that tests call `name`.
std::string registered_name(const std::string& name) {
  if (name == kRails) return "tcp";
  return name.starts_with("ofi") ? "ofi" : name;
}

}  // namespace

TestRank::TestRank(Rank rank)
    : self(rank),
      wake_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      poller(Poller::open().value()) {}

TestRank::TestRank(const std::string& name, Rank rank, const std::string& listen_interface)
    : TestRank(rank) {
  TransportContext context = context_for(name, rank);
  context.listen_interface = listen_interface;
  if (has_rails(name)) use_rails(context, kLoopbackRails.size());
  make(name, std::move(context));
}

TestRank::TestRank(const std::string& name, Rank rank, std::size_t rails) : TestRank(rank) {
  TransportContext context = context_for(name, rank);
  use_rails(context, rails);
  make(name, std::move(context));
}

void TestRank::make(const std::string& name, TransportContext context) {
  context.wake = [fd = wake_event.get()] {
    const std::uint64_t one = 1;
    if (::write(fd, &one, sizeof(one)) < 0)
      return;  // the counter is full: the sleeper wakes anyway
  };
  transport = make_transport(registered_name(name), context).value();
}

bool TestRank::progress() {
  sink.in_progress = true;
  const bool moved = transport->progress(sink);
  sink.in_progress = false;
  return moved;
}

bool TestRank::run_until(const std::function<bool()>& done, Deadline deadline) {
  while (!done()) {
    if (progress()) continue;
    if (deadline.passed()) return false;
    transport->arm(poller);
    poller.sleep(deadline);
  }
  return true;
}

Status TestRank::send(Rank peer, const std::vector<std::byte>& data, unsigned op, Token token) {
  const Envelope mine = envelope(op);
  return transport->post_send(peer, {data.data(), data.size(), op, &mine}, token);
}

Status TestRank::receive(Rank peer, std::vector<std::byte>& data, unsigned op, Token token) {
  const Envelope mine = envelope(op);
  return transport->post_recv(peer, {data.data(), data.size(), op, &mine}, token);
}

void TestRank::notice(Rank peer, const std::string& text) {
  transport->post_notice(peer, std::as_bytes(std::span(text)));
}

Status TestRank::watch() {
  SMDDP_RETURN_IF_ERROR(poller.add(wake_event.get()));
  return transport->watch(poller);
}

std::vector<std::string> connectable_transports() {
  std::vector<std::string> names = transport_names();
  names.emplace_back(kRails);
  const auto ofi = std::find(names.begin(), names.end(), "ofi");
  if (ofi == names.end()) return names;
  *ofi = kRmaOfi;
  names.insert(names.end(), {kTaggedOfi, kRmaRailsOfi, kTaggedRailsOfi});
  return names;
}

std::vector<std::string> all_transport_names() {
  std::vector<std::string> names = connectable_transports();
  names.emplace_back("shm");
  return names;
}

World make_world(const std::string& transport, int size) {
  World world;
  for (Rank rank = 0; rank < size; ++rank)
    world.push_back(std::make_unique<TestRank>(transport, rank));
  return world;
}

std::vector<PeerAddress> listen_all(World& world) {
  std::vector<PeerAddress> addresses;
  for (auto& rank : world) addresses.push_back({rank->self, rank->transport->listen().value()});
  return addresses;
}

Status connect_one(TestRank& rank, const std::vector<PeerAddress>& addresses,
                   const Entrance& entrance) {
  std::vector<PeerAddress> peers;
  for (const PeerAddress& address : addresses) {
    if (address.rank != rank.self) peers.push_back(address);
  }
  return rank.transport->connect(peers, entrance.secret, entrance.context, entrance.deadline);
}

void connect_all(World& world) {
  const auto addresses = listen_all(world);
  std::vector<std::function<void()>> functions;
  for (auto& rank : world) {
    functions.push_back([&rank = *rank, &addresses] {
      const Status status = connect_one(rank, addresses, {});
      require(status.ok(), status.message());
      require(rank.watch().ok(), "watch");
    });
  }
  REQUIRE(run_threads(functions) == std::vector<std::string>{});
}

World connected_world(const std::string& transport, int size) {
  if (transport == "shm") return shared_memory_world(size);
  World world = make_world(transport, size);
  connect_all(world);
  return world;
}

bool drive(World& world, const std::function<bool()>& done, Deadline deadline) {
  while (!done()) {
    if (deadline.passed()) return false;
    for (auto& rank : world) {
      if (rank->transport != nullptr) rank->progress();
    }
  }
  return true;
}

void settle(World& world) {
  // Loopback delivers inside the system call, so a few idle rounds mean that nothing is on its way.
  for (int idle = 0; idle < 50;) {
    bool moved = false;
    for (auto& rank : world) moved |= rank->transport != nullptr && rank->progress();
    idle = moved ? 0 : idle + 1;
  }
}

std::vector<std::string> run_threads(const std::vector<std::function<void()>>& functions) {
  std::mutex mutex;
  std::vector<std::string> failures;
  std::vector<std::thread> threads;
  for (const auto& function : functions) {
    threads.emplace_back([&mutex, &failures, &function] {
      try {
        function();
      } catch (const std::exception& error) {
        const std::lock_guard lock(mutex);
        failures.emplace_back(error.what());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failures;
}

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

}  // namespace smddp::test
