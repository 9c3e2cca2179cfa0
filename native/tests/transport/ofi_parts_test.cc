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
#include "transport/ofi/rails.h"
#include "transport/ofi/registration.h"
#include "transport/recorded_control.h"

namespace smddp::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kHuge = std::size_t{3} << 40;

std::vector<InfoPtr> tcp_provider(std::size_t rails = 1) {
  const Library& library = *Library::of_process().value();
  std::vector<std::string> sources{"127.0.0.1", "127.0.0.2"};
  sources.resize(rails);
  return choose_provider(library, {.name = "tcp", .sources = sources}).value();
}

std::unique_ptr<OfiRails> open_rails(std::size_t peers, RoomPerPeer room, std::size_t rails = 1) {
  auto opened =
      OfiRails::open(*Library::of_process().value(), tcp_provider(rails), 128 * 1024).value();
  REQUIRE(opened->size() == rails);
  REQUIRE(opened->prepare(peers, room).ok());
  return opened;
}

TEST_CASE("ofi: introductions survive the wire, and other bytes are refused") {
  Introduction mine;
  mine.rma = false;
  mine.room = {16, 4096};
  mine.token.fill(std::byte{7});
  mine.provider = "tcp;ofi_rxm";
  mine.addresses = {std::string("\0\1address", 9), std::string("another\0\2", 9)};
  Bytes bytes = mine.encode();
  const Introduction back = Introduction::decode(bytes).value();
  CHECK_FALSE(back.rma);
  CHECK(back.room.messages == 16);
  CHECK(back.room.bytes == 4096);
  CHECK(back.token == mine.token);
  CHECK(back.provider == mine.provider);
  CHECK(back.addresses == mine.addresses);
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
  const std::size_t buffers = 2 * room.messages + 4;
  CHECK(buffers * room.bytes + sizeof(Channel) < 64 * 1024);
}

TEST_CASE("ofi: chunks are at least 512 KiB over one rail, and their number is bounded") {
  const ChunkRule rule{.longest_message = SIZE_MAX};
  CHECK(chunk_bytes_of(1, rule) == 512 * kKiB);
  CHECK(chunk_bytes_of(40 * kKiB * kKiB, rule) == 512 * kKiB);
  CHECK(chunks_in(kHuge, chunk_bytes_of(kHuge, rule)) <= 256);
  CHECK(chunk_bytes_of(kHuge, {.longest_message = 9000}) == 9000);
  CHECK(chunks_in(0, 10) == 0);
  CHECK(chunks_in(21, 10) == 3);
  CHECK(slot_of(chunk_name(4095, 1'000'000)) == 4095);
  CHECK(chunk_of(chunk_name(4095, 1'000'000)) == 1'000'000);
}

TEST_CASE("ofi: all rails get equally many chunks, unless these were shorter than a stripe") {
  const auto chunks = [](std::size_t bytes, std::size_t rails) {
    const ChunkRule rule{rails, 128 * kKiB, SIZE_MAX};
    return chunks_in(bytes, chunk_bytes_of(bytes, rule));
  };
  for (const std::size_t rails : {2U, 3U, 4U, 8U}) {
    CAPTURE(rails);
    CHECK(chunks(1, rails) == 1);
    CHECK(chunks(256 * kKiB - 1, rails) == 1);
    CHECK(chunks(256 * kKiB, rails) == 2);
    CHECK(chunks(256 * kKiB + 1, rails) == 2);
    CHECK(chunks(rails * 128 * kKiB, rails) == rails);
    CHECK(chunks(rails * 512 * kKiB, rails) == rails);
    CHECK(chunks(rails * 512 * kKiB + 1, rails) == 2 * rails);
    CHECK(chunks(1000 * kKiB * kKiB, rails) % rails == 0);
    CHECK(chunks(kHuge, rails) <= 256 + rails);
  }
  const ChunkRule rule{2, 128 * kKiB, SIZE_MAX};
  CHECK(chunk_bytes_of(300 * kKiB, rule) == 152 * kKiB);  // whole pages
  CHECK(chunk_bytes_of(kHuge, {2, 128 * kKiB, 9000}) == 9000);
}

TEST_CASE("ofi: the chunks of a message go over all rails in turn, and messages begin anywhere") {
  for (const std::size_t rails : {1U, 2U, 3U, 8U}) {
    for (std::uint64_t sequence = 0; sequence < 10; ++sequence) {
      for (std::size_t chunk = 0; chunk < 20; ++chunk) {
        const std::size_t rail = rail_of_chunk(sequence, chunk, rails);
        CHECK(rail < rails);
        CHECK(rail_of_chunk(sequence, chunk + 1, rails) == (rail + 1) % rails);
        CHECK(rail_of_chunk(sequence + 1, chunk, rails) == (rail + 1) % rails);
      }
    }
  }
}

TEST_CASE("ofi: a rank uses the cards nearest to its GPU, else the first ones") {
  const std::vector<std::string> domains{"card1-rdm", "card10-rdm", "card2-rdm", "card3"};
  HostTopology host;
  for (const char* name : {"card1", "card2", "card3", "card10"})
    host.rails.push_back({.name = name});
  CHECK(cards_of(5, domains, host) == std::vector<std::size_t>{0, 1, 2, 3});
  host.gpus = {{.rails = {0, 1}}, {.rails = {2, 3}}, {.rails = {}}};
  CHECK(cards_of(0, domains, host) == std::vector<std::size_t>{0, 2});
  CHECK(cards_of(1, domains, host) == std::vector<std::size_t>{3, 1});
  CHECK(cards_of(3, domains, host) == std::vector<std::size_t>{0, 2});
  CHECK(cards_of(2, domains, host).size() == 4);
  CHECK(cards_of(0, {"other0", "other1"}, host).size() == 2);
  CHECK(cards_of(0, std::vector<std::string>(20, "other"), host).size() == kMostRails);
}

TEST_CASE("ofi: registrations of the heap are kept until its memory is released, others are not") {
  const auto heap = RegisteredHeap::create(std::size_t{64} << 12).value();
  auto endpoint =
      Endpoint::open(*Library::of_process().value(), std::move(tcp_provider().front()), 16).value();
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

/// Rank 0's channel from rank 1, which is nothing but a rail: what it sends can be forged.
struct Forgery {
  static constexpr RoomPerPeer kRoom{16, 1024};

  Forgery() {
    channel.introduce({.room = kRoom, .provider = "tcp", .addresses = {"unused"}});
    Introduction theirs;
    theirs.rma = sender.first().has_rma();
    theirs.room = kRoom;
    theirs.provider = sender.first().provider();
    theirs.addresses = {sender.first().address()};
    channel.on_control(theirs.encode());
    REQUIRE(channel.open(receiver, kRoom).ok());
    to_receiver = sender.first().add_peer(receiver.first().address()).value();
    token = Introduction::decode(recorder.said.front()).value().token;
    sink.in_progress = true;
  }
  ~Forgery() {
    receiver.stop();
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
    while (!sender[0].send(header, payload, to_receiver, channel).ok()) poll();
  }
  void receive(Bytes& into, unsigned op) {
    const Envelope expected = envelope(op);
    channel.inbound().post({into.data(), into.size(), op, &expected}, op);
  }

  void poll() {
    std::array<Endpoint::Event, 16> events;
    for (std::size_t i = 0, count = sender.first().poll(events); i < count; ++i) {
      if (events[i].operation->kind == OperationKind::kSend)
        sender[0].give_back_sent(events[i].operation->number);
    }
    const std::array<Channel*, 2> by_rank{nullptr, &channel};
    heard += receiver.poll(by_rank) ? 1 : 0;
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

  RecordedControl recorder;
  std::unique_ptr<OfiRails> sender_ = open_rails(1, kRoom);
  std::unique_ptr<OfiRails> receiver_ = open_rails(1, kRoom);
  OfiRails& sender = *sender_;
  OfiRails& receiver = *receiver_;
  Channel channel{0, 1, recorder};
  RecordingSink sink;
  fi_addr_t to_receiver = FI_ADDR_UNSPEC;
  LinkToken token{};
  int heard = 0;  ///< how often something has come
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
  REQUIRE(forgery.run_until([&] { return forgery.heard > 0; }));
  CHECK(forgery.sink.completed.empty());
  forgery.send(0, data);
  REQUIRE(forgery.run_until([&] { return forgery.sink.is_complete(0); }));
  CHECK(got == data);
}

}  // namespace
}  // namespace smddp::test
