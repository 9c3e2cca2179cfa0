#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "memory/registered_heap.h"
#include "transport/harness.h"
#include "transport/ofi/channel.h"
#include "transport/ofi/control.h"
#include "transport/ofi/library.h"
#include "transport/ofi/providers.h"
#include "transport/ofi/rail.h"
#include "transport/ofi/registration.h"

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

InfoPtr tcp_provider() {
  const Library& library = *Library::of_process().value();
  return choose_provider(library, {.name = "tcp", .source = "127.0.0.1"}).value();
}

std::unique_ptr<OfiRail> open_rail(std::size_t peers, RoomPerPeer room) {
  auto rail = OfiRail::open(*Library::of_process().value(), tcp_provider()).value();
  REQUIRE(rail->prepare(peers, room).ok());
  return rail;
}

TEST_CASE("ofi: introductions survive the wire, and other bytes are refused") {
  Introduction mine;
  mine.rma = false;
  mine.room = {16, 4096};
  mine.token.fill(std::byte{7});
  mine.provider = "tcp;ofi_rxm";
  mine.address = std::string("\0\1address", 9);
  Bytes bytes = mine.encode();
  const Introduction back = Introduction::decode(bytes).value();
  CHECK_FALSE(back.rma);
  CHECK(back.room.messages == 16);
  CHECK(back.room.bytes == 4096);
  CHECK(back.token == mine.token);
  CHECK(back.provider == mine.provider);
  CHECK(back.address == mine.address);
  CHECK_FALSE(Introduction::decode(std::span(bytes).first(bytes.size() - 1)).has_value());
  CHECK_FALSE(Introduction::decode(std::span(bytes).first(10)).has_value());
  bytes[0] ^= std::byte{1};
  CHECK_FALSE(Introduction::decode(bytes).has_value());

  const ControlWord word{ControlKind::kAsk, 1234567890123};
  CHECK(parse_control(word.bytes())->number == word.number);
  CHECK_FALSE(parse_control(word.bytes().first(15)).has_value());
  CHECK_FALSE(parse_control(ControlWord{static_cast<ControlKind>(9), 0}.bytes()).has_value());
}

TEST_CASE("ofi: a peer costs less than 64 KiB when there are a thousand") {
  const RoomPerPeer room = room_per_peer(1023);
  const auto rail = open_rail(100, room);
  const std::size_t buffers = 2 * room.messages + 4;
  CHECK(buffers * room.bytes + sizeof(Channel) < 64 * 1024);
}

TEST_CASE("ofi: chunks are at least 512 KiB, and their number is bounded") {
  constexpr std::size_t kKiB = 1024;
  CHECK(chunk_bytes_of(1, SIZE_MAX) == 512 * kKiB);
  CHECK(chunk_bytes_of(40 * kKiB * kKiB, SIZE_MAX) == 512 * kKiB);
  const std::size_t huge = std::size_t{3} << 40;
  CHECK(chunks_in(huge, chunk_bytes_of(huge, SIZE_MAX)) <= 256);
  CHECK(chunk_bytes_of(huge, 9000) == 9000);
  CHECK(chunks_in(0, 10) == 0);
  CHECK(chunks_in(21, 10) == 3);
  CHECK(slot_of(chunk_name(4095, 1'000'000)) == 4095);
  CHECK(chunk_of(chunk_name(4095, 1'000'000)) == 1'000'000);
}

TEST_CASE("ofi: registrations of the heap are kept until its memory is released, others are not") {
  const auto heap = RegisteredHeap::create(std::size_t{64} << 12).value();
  auto endpoint = Endpoint::open(*Library::of_process().value(), tcp_provider(), 16).value();
  RegistrationCache cache{*endpoint, heap->bytes(), 4};

  std::byte* const block = heap->allocate(8192).value();
  std::uint64_t first_key = 0;
  {
    const auto lease = cache.acquire({block, 8192}, MemoryUse::kTarget).value();
    first_key = lease.key();
    const auto part = cache.acquire({block + 100, 50}, MemoryUse::kTarget).value();
    CHECK(part.key() == first_key);
    CHECK(part.address_of(block + 100) == lease.address_of(block) + 100);
    CHECK(cache.acquire({block, 8192}, MemoryUse::kSource).value().key() != first_key);
  }
  CHECK(cache.size() == 2);

  // Released under a lease: it stays valid, but nobody finds it any more.
  {
    const auto lease = cache.acquire({block, 8192}, MemoryUse::kTarget).value();
    CHECK(lease.key() == first_key);
    heap->release(block);
    CHECK(lease.key() == first_key);
    CHECK(cache.acquire({block, 8192}, MemoryUse::kTarget).value().key() != first_key);
  }

  Bytes elsewhere(100);
  for (int i = 0; i < 10; ++i) CHECK(cache.acquire(elsewhere, MemoryUse::kSource).ok());
  for (int i = 0; i < 10; ++i) {
    std::byte* const one = heap->allocate(4096).value();
    CHECK(cache.acquire({one, 4096}, MemoryUse::kTarget).ok());
  }
  CHECK(cache.size() <= 5);
}

/// Stands for the connection; keeps what is said.
class Recorder final : public Transport {
 public:
  std::string_view name() const noexcept override { return "recorder"; }
  Result<std::string> listen() override { return std::string{}; }
  Status connect(std::span<const PeerAddress>, const std::string&, const std::string&,
                 Deadline) override {
    return {};
  }
  Status watch(Poller&) override { return {}; }
  void unwatch(Poller&) noexcept override {}
  void arm(Poller&) noexcept override {}
  Status post_send(Rank, const SendDesc&, Token) override { return {}; }
  Status post_recv(Rank, const RecvDesc&, Token) override { return {}; }
  void post_notice(Rank, std::span<const std::byte> bytes) override {
    notices.emplace_back(bytes.begin(), bytes.end());
  }
  bool progress(CompletionSink&) override { return false; }
  void abandon() override {}
  bool flushed() const noexcept override { return true; }
  bool flushed_to(Rank) const noexcept override { return true; }

  std::vector<Bytes> notices;
};

/// Rank 0's channel from rank 1, which is nothing but a rail: what it sends can be forged.
struct Forgery {
  static constexpr RoomPerPeer kRoom{16, 1024};

  Forgery() {
    channel.introduce({.room = kRoom, .provider = "tcp", .address = "unused"});
    Introduction theirs;
    theirs.rma = sender->endpoint().has_rma();
    theirs.room = kRoom;
    theirs.provider = sender->endpoint().provider();
    theirs.address = sender->endpoint().address();
    channel.on_control(theirs.encode());
    REQUIRE(channel.open(*receiver, kRoom).ok());
    to_receiver = sender->endpoint().add_peer(receiver->endpoint().address()).value();
    token = Introduction::decode(recorder.notices.front()).value().token;
    sink.in_progress = true;
  }
  ~Forgery() {
    receiver->stop();
    channel.abandon();
  }

  void send(std::uint64_t sequence, const Bytes& payload) {
    MessageHeader header;
    header.token = token;
    header.from = 1;
    header.sequence = sequence;
    header.tag = sequence;
    header.bytes = payload.size();
    header.envelope = envelope(static_cast<unsigned>(sequence));
    while (!sender->send(header, payload, to_receiver, channel).ok()) poll();
  }
  void receive(Bytes& into, unsigned op) {
    const Envelope expected = envelope(op);
    channel.inbound().post({into.data(), into.size(), op, &expected}, op);
  }

  /// As the transport does.
  void poll() {
    std::array<Endpoint::Event, 16> events;
    for (std::size_t i = 0, count = sender->endpoint().poll(events); i < count; ++i) {
      if (events[i].operation->kind == OperationKind::kSend)
        sender->give_back_sent(events[i].operation->number);
    }
    for (std::size_t i = 0, count = receiver->endpoint().poll(events); i < count; ++i) {
      const std::uint32_t buffer = events[i].operation->number;
      if (events[i].operation->kind != OperationKind::kReceive) continue;
      receiver->note_received();
      const auto message = receiver->received(buffer).first(events[i].bytes);
      MessageHeader header;
      std::memcpy(&header, message.data(), sizeof(header));
      strangers += channel.is_from_peer(header) ? 0 : 1;
      if (!channel.is_from_peer(header) ||
          !channel.on_message(buffer, header, message.subspan(sizeof(header))))
        receiver->give_back_received(buffer);
    }
  }
  bool run_until(const std::function<bool()>& done) {
    const Deadline deadline = soon();
    while (!done()) {
      if (deadline.passed()) return false;
      poll();
      channel.progress_receives(sink);
    }
    return true;
  }

  Recorder recorder;
  std::unique_ptr<OfiRail> sender = open_rail(1, kRoom);
  std::unique_ptr<OfiRail> receiver = open_rail(1, kRoom);
  Channel channel{0, 1, recorder};
  RecordingSink sink;
  fi_addr_t to_receiver = FI_ADDR_UNSPEC;
  LinkToken token{};
  int strangers = 0;
};

TEST_CASE("ofi: messages that overtake each other are received in the order of their sends") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Forgery forgery;
  std::vector<Bytes> data;
  std::vector<Bytes> got;
  for (unsigned i = 0; i < 160; ++i) {
    data.push_back(pattern(i, random() % 900));
    got.emplace_back(data.back().size());
  }
  for (unsigned window = 0; window < 160; window += 16) {
    std::array<unsigned, 16> order;
    std::iota(order.begin(), order.end(), window);
    std::shuffle(order.begin(), order.end(), random);
    for (const unsigned i : order) {
      forgery.send(i, data[i]);
      if (random() % 2 == 0) forgery.send(i, data[i]);  // what comes twice counts once
    }
    for (unsigned i = window; i < window + 16; ++i) forgery.receive(got[i], i);
    REQUIRE(forgery.run_until([&] { return forgery.sink.completed.size() == window + 16; }));
  }
  CHECK(got == data);
  for (unsigned i = 0; i < 160; ++i) CHECK(forgery.sink.completed[i] == i);
  CHECK(forgery.sink.faults == std::vector<std::string>{});
}

TEST_CASE("ofi: whoever does not know the token is not heard") {
  Forgery forgery;
  const Bytes data = pattern(3, 50);
  Bytes got(data.size());
  forgery.receive(got, 0);
  const LinkToken right = forgery.token;
  forgery.token.back() ^= std::byte{1};
  forgery.send(0, pattern(4, 50));
  forgery.token = right;
  REQUIRE(forgery.run_until([&] { return forgery.strangers == 1; }));
  CHECK(forgery.sink.completed.empty());
  forgery.send(0, data);
  REQUIRE(forgery.run_until([&] { return forgery.sink.is_complete(0); }));
  CHECK(got == data);
}

}  // namespace
}  // namespace smddp::test
