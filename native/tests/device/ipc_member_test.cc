// One rank's part in collectives by our kernels, without the group that looks after it.
#include "device/ipc_member.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "device/gpu_world.h"
#include "support/fabric.h"

namespace smddp::test {
namespace {

constexpr std::size_t kCount = 100'000;  // more than goes in one shot

/// All ranks of the world, which share a GPU and have reached each other's memory.
class Ranks {
 public:
  Ranks(const World& world, Rank rank, int size) : messages_(world.join(rank, "messages")) {
    messages_->meet();
    const auto image = cuda::load_kernel_image(FAKE_KERNELS);
    expect(image.ok(), image.status().message());
    auto member =
        IpcMember::create(open_gpu(0), image.value(), {rank, size}, {.staging = 1U << 20});
    expect(member.ok(), member.status().message());
    member_ = member.value();
    const std::vector<std::byte> mine = member_->card();
    std::vector<std::byte> cards(mine.size() * static_cast<std::size_t>(size));
    finish(messages_->submit({.collective = Collective::kAllGather,
                              .in = mine.data(),
                              .out = cards.data(),
                              .count = mine.size()}));
    std::vector<Rank> all;
    for (Rank one = 0; one < size; ++one) all.push_back(one);
    const Status reached = member_->reach(*messages_, all, cards);
    expect(reached.ok(), reached.message());
    tell_slabs(rank, size);
  }

  IpcMember& member() const { return *member_; }
  /// All ranks come here.
  void meet() const { finish(messages_->submit({.collective = Collective::kBarrier})); }
  void add(const TestMemory& memory, const TestStream& stream) const {
    const std::vector<Request> requests{{.collective = Collective::kAllReduce,
                                         .dtype = DType::kFloat32,
                                         .in = memory.data(),
                                         .out = memory.data(),
                                         .count = memory.size()}};
    const Status put = member_->enqueue(requests, stream.get(), [] { return false; });
    expect(put.ok(), put.message());
  }
  /// Until all have opened the memory, and it is used in place.
  void open(const TestMemory& memory, const TestStream& stream) const {
    const Deadline deadline = Deadline::after(std::chrono::seconds{20});
    long before = 0;
    long after = 1;
    while (before != after) {
      expect(!deadline.passed(), "the memory is not used in place");
      meet();
      before = calls_of("cuMemcpyDtoDAsync_v2");
      meet();
      add(memory, stream);
      stream.finish();
      meet();
      after = calls_of("cuMemcpyDtoDAsync_v2");
    }
    meet();
  }

 private:
  void tell_slabs(Rank rank, int size) const {
    const std::vector<cuda::Address> mine = member_->reached();
    std::vector<cuda::Address> theirs(mine.size() * mine.size());
    finish(messages_->submit({.collective = Collective::kAllGather,
                              .dtype = DType::kInt64,
                              .in = mine.data(),
                              .out = theirs.data(),
                              .count = mine.size()}));
    for (Rank peer = 0; peer < size; ++peer)
      member_->set_slab_at(peer, theirs[static_cast<std::size_t>(peer * size + rank)]);
    meet();
  }

  std::shared_ptr<Communicator> messages_;
  std::shared_ptr<IpcMember> member_;
};

TEST_CASE("kernels leave the memory of a rank alone that has given up, however late they come") {
  if (kSeesRacesAfterFailures) return;
  const World world{{"shm", "auto"}, 2};
  world.run([&](Rank rank) {
    const Ranks ranks{world, rank, 2};
    TestStream stream{0};
    const TestMemory memory{0, std::vector<float>(kCount, 0.0F)};
    ranks.open(memory, stream);
    std::fill_n(memory.data(), kCount, 1.0F);
    stream.hold();  // both GPUs are busy, and a process may be stopped
    for (int turn = 0; turn < 3; ++turn) ranks.add(memory, stream);
    expect(ranks.member().check_results(ranks.member().mark()).ok(), "nobody has given up");
    ranks.meet();
    if (rank == 0) {
      ranks.member().abort();
      const Deadline later = Deadline::after(std::chrono::milliseconds{700});
      while (!later.passed()) ::sched_yield();  // longer than it waits for kernels
      stream.release();
      stream.finish();
      std::fill_n(memory.data(), kCount, 5.0F);  // the user has it again
    }
    ranks.meet();
    if (rank == 1) {
      stream.release();
      stream.finish();
      expect(ranks.member().check_results(ranks.member().mark()).is_again(),
             "a result without the other's part");
    }
    ranks.meet();
    if (rank == 0) expect(memory.values() == std::vector<float>(kCount, 5.0F), "somebody wrote");
    ranks.member().abort();
  });
}

TEST_CASE("ranks that call different things do not touch each other's memory") {
  const World world{{"shm", "auto"}, 2};
  world.run([&](Rank rank) {
    const Ranks ranks{world, rank, 2};
    TestStream stream{0};
    const std::size_t count = rank == 0 ? kCount : kCount / 3;
    // One after the other in memory, so that who writes too much is seen.
    const TestMemory memory{0, std::vector<float>(count, 1.0F)};
    const TestMemory behind{0, std::vector<float>(kCount, 7.0F)};
    ranks.open(memory, stream);
    ranks.add(memory, stream);
    stream.finish();
    ranks.meet();
    expect(memory.values() == std::vector<float>(count, 1.0F), "somebody wrote");
    expect(behind.values() == std::vector<float>(kCount, 7.0F), "somebody wrote behind it");
    expect(ranks.member().check_results(ranks.member().mark()).code() == StatusCode::kMismatch,
           "no result");
    ranks.meet();
    ranks.member().abort();
  });
}

TEST_CASE("a rank that gives up has its memory again only after the others' kernels") {
  if (kSeesRacesAfterFailures) return;
  const World world{{"shm", "auto"}, 2};
  world.run([&](Rank rank) {
    const Ranks ranks{world, rank, 2};
    TestStream stream{0};
    const TestMemory memory{0, std::vector<float>(kCount, 0.0F)};
    ranks.open(memory, stream);
    std::fill_n(memory.data(), kCount, 1.0F);
    ranks.meet();
    if (rank == 1) stream.hold_kernel();
    ranks.meet();
    ranks.add(memory, stream);
    if (rank == 0) {
      const std::atomic_ref last{memory.data()[kCount - 1]};  // which the other adds up
      while (last.load() != 2.0F) ::sched_yield();
      ranks.member().abort();
      const Deadline deadline = Deadline::after(std::chrono::milliseconds{100});
      while (!deadline.passed()) expect(!stream.is_done(), "the other's kernel is at it");
    }
    ranks.meet();
    if (rank == 1) stream.release();
    ranks.meet();
    stream.finish();
    ranks.member().abort();
  });
}

}  // namespace
}  // namespace smddp::test
