// Messages between two ranks, over every way in which ranks reach each other.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/communicator.h"

#include "support/fabric.h"

namespace smddp::test {
namespace {

using Values = std::vector<std::int32_t>;

// Around the longest message that travels in its announcement, one that fills a ring and more, and
// none at all.
const std::vector<std::size_t>& counts() {
  static const std::vector<std::size_t> all{0, 1, 503, 504, 505, 5'000, 300'001};
  return all;
}

/// Differ by sender, receiver, number of the message and element.
Values values(Rank from, Rank to, int number, std::size_t count) {
  Values result(count);
  for (std::size_t i = 0; i < count; ++i) {
    result[i] =
        static_cast<std::int32_t>(i) + 1000 * number + 100'000 * (from + 1) + 10'000'000 * (to + 1);
  }
  return result;
}

Request send(Rank to, const Values& data, std::uint64_t tag = 0) {
  return Request{.message = MessageSide::kSend,
                 .dtype = DType::kInt32,
                 .peer = to,
                 .tag = tag,
                 .in = data.data(),
                 .count = data.size()};
}

Request recv(Rank from, Values& data, std::uint64_t tag = 0) {
  return Request{.message = MessageSide::kRecv,
                 .dtype = DType::kInt32,
                 .peer = from,
                 .tag = tag,
                 .out = data.data(),
                 .count = data.size()};
}

Request synchronous(Request request) {
  request.synchronous = true;
  return request;
}

void require_equal(const Values& got, const Values& expected, const std::string& what) {
  if (got != expected) throw std::runtime_error("wrong bytes: " + what);
}

void require_text(const Status& status, const std::vector<std::string>& parts) {
  if (status.ok()) throw std::runtime_error("should have failed");
  for (const std::string& part : parts) {
    if (status.message().find(part) == std::string::npos)
      throw std::runtime_error("'" + part + "' is missing in: " + status.message());
  }
}

void for_each_fabric(int world, const std::function<void(Communicator&)>& body) {
  for (const Fabric& fabric : fabrics()) {
    CAPTURE(fabric.name);
    run_world(fabric, world, body);
  }
}

TEST_CASE("messages of any size reach the rank that they are for") {
  for_each_fabric(3, [](Communicator& communicator) {
    const Rank self = communicator.rank();
    for (const bool waits : {true, false}) {
      int number = 0;
      for (const std::size_t count : counts()) {
        ++number;
        // Round and round: 0 sends first, the others receive first.
        const Rank next = (self + 1) % 3;
        const Rank previous = (self + 2) % 3;
        const Values out = values(self, next, number, count);
        Values in(count, -1);
        Request sending = send(next, out);
        Request receiving = recv(previous, in);
        sending.synchronous = receiving.synchronous = waits;
        if (self == 0) run(communicator, sending);
        run(communicator, receiving);
        if (self != 0) run(communicator, sending);
        require_equal(in, values(previous, self, number, count), std::to_string(count));
      }
    }
  });
}

TEST_CASE("everybody sends to everybody at once") {
  for_each_fabric(4, [](Communicator& communicator) {
    const Rank self = communicator.rank();
    std::vector<Values> out;
    std::vector<Values> in;
    std::vector<Work> works;
    out.reserve(100);
    in.reserve(100);
    for (int number = 0; number < 3; ++number) {
      for (const std::size_t count : counts()) {
        for (Rank peer = 0; peer < 4; ++peer) {
          if (peer == self) continue;
          out.push_back(values(self, peer, number, count));
          in.emplace_back(count, -1);
          works.push_back(communicator.submit(send(peer, out.back())));
          works.push_back(communicator.submit(recv(peer, in.back())));
        }
      }
    }
    for (const Work& work : works) finish(work);
    auto got = in.begin();
    for (int number = 0; number < 3; ++number) {
      for (const std::size_t count : counts()) {
        for (Rank peer = 0; peer < 4; ++peer) {
          if (peer != self)
            require_equal(*got++, values(peer, self, number, count), std::to_string(count));
        }
      }
    }
  });
}

TEST_CASE("tags tell messages apart, and equal tags keep their order") {
  constexpr int kTags = 5;
  constexpr int kMessages = 8;
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  for_each_fabric(2, [seed](Communicator& communicator) {
    const auto size = [](int tag, int number) {
      return counts()[static_cast<std::size_t>(3 * tag + number) % counts().size()];
    };
    std::vector<int> tags;
    for (int i = 0; i < kTags * kMessages; ++i) tags.push_back(i % kTags);
    // Each rank has an order of its own.
    std::mt19937 random{seed + static_cast<unsigned>(communicator.rank())};
    std::shuffle(tags.begin(), tags.end(), random);
    std::vector<int> next(kTags);
    std::vector<Values> data(tags.size());
    std::vector<Values> expected(tags.size());
    std::vector<Work> works;
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const int tag = tags[i];
      const int number = next[static_cast<std::size_t>(tag)]++;
      expected[i] = values(0, 1, 10 * tag + number, size(tag, number));
      if (communicator.rank() == 0) {
        works.push_back(communicator.submit(send(1, expected[i], static_cast<unsigned>(tag))));
      } else {
        data[i].assign(expected[i].size(), -1);
        works.push_back(communicator.submit(recv(0, data[i], static_cast<unsigned>(tag))));
      }
    }
    for (const Work& work : works) finish(work);
    if (communicator.rank() == 1 && data != expected) throw std::runtime_error("wrong order");
  });
}

TEST_CASE("a receive from any rank says who has sent") {
  for_each_fabric(4, [](Communicator& communicator) {
    const Rank self = communicator.rank();
    std::uint64_t tag = 0;
    for (const std::size_t count : counts()) {
      ++tag;  // a rank may be ahead of the others
      if (self != 2) {
        const Values out = values(self, 2, 7, count);
        run(communicator, send(2, out, tag));
        continue;
      }
      std::vector<Rank> sources;
      for (int i = 0; i < 3; ++i) {
        Values in(count, -1);
        const Work work = communicator.submit(synchronous(recv(kAnyRank, in, tag)));
        finish(work);
        sources.push_back(work.source());
        require_equal(in, values(work.source(), 2, 7, count), std::to_string(count));
      }
      std::sort(sources.begin(), sources.end());
      if (sources != std::vector<Rank>{0, 1, 3}) throw std::runtime_error("wrong sources");
    }
  });
}

TEST_CASE("collectives and messages do not wait for each other") {
  for_each_fabric(3, [](Communicator& communicator) {
    const Rank self = communicator.rank();
    for (const std::size_t count : {std::size_t{1}, std::size_t{300'001}}) {
      std::vector<std::int32_t> sum(100'000, self + 1);
      Request all_reduce{.collective = Collective::kAllReduce,
                         .dtype = DType::kInt32,
                         .in = sum.data(),
                         .out = sum.data(),
                         .count = sum.size()};
      const Values out = values(0, 1, 1, count);
      Values in(count, -1);
      // 0 has the collective under way before it sends; 1 receives before it takes part.
      if (self == 1) run(communicator, recv(0, in));
      const Work collective = communicator.submit(all_reduce);
      if (self == 0) run(communicator, synchronous(send(1, out)));
      finish(collective);
      if (self == 1) require_equal(in, out, "beside a collective");
      if (sum != std::vector<std::int32_t>(sum.size(), 6)) throw std::runtime_error("wrong sum");
    }
  });
}

TEST_CASE("two ranks exchange messages although the third submits nothing and leaves") {
  for_each_fabric(3, [](Communicator& communicator) {
    communicator.meet();
    const Values out = values(0, 1, 1, 1000);
    Values in(out.size(), -1);
    if (communicator.rank() == 0) run(communicator, send(1, out));
    if (communicator.rank() == 1) {
      run(communicator, recv(0, in));
      require_equal(in, out, "message");
    }
  });
}

TEST_CASE("a group that never becomes complete is left without a connection") {
  const World world{fabrics()[2], 3};
  for (int round = 0; round < 5; ++round) {
    world.run([&](Rank rank) {
      if (rank == 2) return;  // never makes its communicator
      const auto group = world.join(rank, "round " + std::to_string(round));
      group->meet();
      group->leave(std::chrono::milliseconds{20});
      if (group->transport() != "unconnected") throw std::runtime_error("connected");
    });
  }
}

TEST_CASE("sender and receiver must agree on dtype and size") {
  for_each_fabric(2, [](Communicator& communicator) {
    const Rank peer = 1 - communicator.rank();
    const Values out(4);
    Values in(5);
    if (communicator.rank() == 0) run(communicator, send(1, out, 5));
    const std::uint64_t tag = communicator.rank() == 0 ? 6 : 5;
    require_text(outcome_of(communicator, recv(peer, in, tag)),
                 {"rank 1 (", "recv from rank 0 (5 elements of int32, tag 5)", "rank 0 (",
                  "sent 4 elements of int32 with tag 5"});
  });
}

TEST_CASE("a message that nobody meets ends at its deadline and names the other rank") {
  for (const bool is_send : {true, false}) {
    CAPTURE(is_send);
    for_each_fabric(2, [is_send](Communicator& communicator) {
      run(communicator, Request{});
      Values data(20'000);
      Request lonely = is_send ? send(0, data, 9) : recv(0, data, 9);
      lonely.timeout = std::chrono::milliseconds{200};
      // The other rank hears of it in what it waits for.
      const Status outcome =
          outcome_of(communicator, communicator.rank() == 1 ? lonely : Request{});
      require_text(outcome, {"timed out after 0.", "rank 0 (", "20000 elements of int32, tag 9",
                             is_send ? "has not received it" : "has not sent it"});
    });
  }
}

TEST_CASE("a rank that waits for a message learns that the sender has left") {
  for (const Rank from : {0, kAnyRank}) {
    for_each_fabric(2, [from](Communicator& communicator) {
      const Values out = values(0, 1, 1, 10);
      Values in(out.size(), -1);
      run(communicator, Request{});
      if (communicator.rank() == 0) {
        run(communicator, send(1, out));
        return;  // leaves; what it has sent before still arrives
      }
      run(communicator, recv(from, in));
      require_equal(in, out, "before leaving");
      require_text(outcome_of(communicator, recv(from, in)), {"recv from", "left the group"});
    });
  }
}

TEST_CASE("what a message holds is let go when it is over") {
  for_each_fabric(2, [](Communicator& communicator) {
    const Rank peer = 1 - communicator.rank();
    for (const std::size_t count : counts()) {
      for (const bool waits : {true, false}) {
        const auto kept = std::make_shared<int>(0);
        const auto called = std::make_shared<std::atomic<int>>(0);
        const Values out = values(communicator.rank(), peer, 0, count);
        Values in(count);
        std::vector<Work> works;
        for (Request request : {send(peer, out), recv(peer, in)}) {
          request.synchronous = waits && communicator.rank() == (request.in != nullptr ? 0 : 1);
          request.keep_alive = kept;
          request.on_complete = [kept, called](const Status&) { ++*called; };
          works.push_back(communicator.submit(std::move(request)));
        }
        for (const Work& work : works) finish(work);
        const Deadline soon = Deadline::after(std::chrono::seconds{10});
        while (kept.use_count() > 1 && !soon.passed()) std::this_thread::yield();
        if (kept.use_count() > 1 || *called != 2) throw std::runtime_error("still held");
      }
    }
  });
}

TEST_CASE("wrong messages are refused at once") {
  run_world(fabrics()[2], 2, [](Communicator& communicator) {
    const Rank self = communicator.rank();
    Values data(3);
    for (const Request& request :
         {send(2, data), send(-1, data), recv(-2, data), send(self, data), recv(self, data)}) {
      if (outcome_of(communicator, request).code() != StatusCode::kInvalidArgument)
        throw std::runtime_error("accepted");
    }
    Request nowhere = recv(1 - self, data);
    nowhere.out = nullptr;
    require_text(outcome_of(communicator, nowhere), {"no buffer"});
  });
}

}  // namespace
}  // namespace smddp::test
