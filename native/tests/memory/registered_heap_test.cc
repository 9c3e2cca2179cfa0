#include "memory/registered_heap.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "smddp/registered.h"

#include "memory/release_listener.h"

namespace smddp {
namespace {

constexpr std::size_t kPage = 4096;

std::unique_ptr<RegisteredHeap> heap_of(std::size_t pages) {
  return std::move(RegisteredHeap::create(pages * kPage)).value();
}

std::byte* take(RegisteredHeap& heap, std::size_t bytes) {
  Result<std::byte*> block = heap.allocate(bytes);
  REQUIRE(block.ok());
  return block.value();
}

bool is_zero(const std::byte* memory, std::size_t bytes) {
  return std::all_of(memory, memory + bytes, [](std::byte b) { return b == std::byte{0}; });
}

TEST_CASE("blocks are zeroed, take whole pages and do not overlap") {
  const auto heap = heap_of(8);
  std::vector<std::byte*> blocks;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, kPage, kPage + 1}) {
    std::byte* const block = take(*heap, bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % kPage == 0);
    CHECK(is_zero(block, bytes));
    std::memset(block, static_cast<int>(blocks.size()) + 1, bytes);
    blocks.push_back(block);
  }
  CHECK(blocks[2][0] == std::byte{3});
  CHECK(blocks[3][kPage] == std::byte{4});
  CHECK(heap->bytes().data() + 3 * kPage == blocks[3]);
}

TEST_CASE("released memory is found again as one piece, zeroed") {
  for (const auto& order :
       {std::vector{0, 1, 2}, std::vector{2, 1, 0}, std::vector{0, 2, 1}, std::vector{1, 0, 2}}) {
    const auto heap = heap_of(3);
    std::vector<std::byte*> blocks;
    for (int i = 0; i < 3; ++i) {
      blocks.push_back(take(*heap, kPage));
      std::memset(blocks.back(), 0xee, kPage);
    }
    CHECK_FALSE(heap->allocate(1).ok());
    for (const int index : order) heap->release(blocks[static_cast<std::size_t>(index)]);
    CHECK(is_zero(take(*heap, 3 * kPage), 3 * kPage));
  }
}

TEST_CASE("a heap that is full says how large it is, and goes on serving what fits") {
  const auto heap = heap_of(4);
  take(*heap, 3 * kPage);
  const Result<std::byte*> refused = heap->allocate(2 * kPage);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().code() == StatusCode::kInvalidArgument);
  CHECK(refused.status().message().find("16384 bytes of it") != std::string::npos);
  CHECK_FALSE(heap->allocate(SIZE_MAX).ok());
  CHECK(heap->allocate(kPage).ok());
}

TEST_CASE("a heap without address space names the limit") {
  const Result<std::byte*> refused = heap_of(0)->allocate(1);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message().find("ulimit -v") != std::string::npos);
}

TEST_CASE("a retired block is never given to anybody else") {
  const auto heap = heap_of(3);
  std::byte* const first = take(*heap, 2 * kPage);
  heap->retire(first + kPage + 17);  // any place in it
  heap->retire(nullptr);
  heap->release(first);
  CHECK(take(*heap, kPage) == first + 2 * kPage);
  CHECK_FALSE(heap->allocate(1).ok());
}

TEST_CASE("another mapping of the file sees what is allocated after it was made") {
  const auto heap = heap_of(16);
  const Mapping peer =
      std::move(Mapping::sparse(heap->file(), 16 * kPage, InChildren::kNothing)).value();
  take(*heap, 3 * kPage);
  std::byte* const block = take(*heap, kPage);
  block[5] = std::byte{42};
  std::byte* const seen = peer.bytes().data() + (block - heap->bytes().data());
  CHECK(seen[5] == std::byte{42});
  seen[6] = std::byte{43};
  CHECK(block[6] == std::byte{43});
}

/// Notes what is released, and what its first byte was then.
class Witness final : public ReleaseListener {
 public:
  Witness() { add_release_listener(*this); }
  ~Witness() override { remove_release_listener(*this); }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  void on_release(std::span<const std::byte> memory) noexcept override {
    heard.push_back(memory);
    first = memory.front();
  }

  std::vector<std::span<const std::byte>> heard;
  std::byte first{0};
};

TEST_CASE("listeners hear of a block before its pages are given back, and only while they listen") {
  const auto heap = heap_of(4);
  std::byte* const block = take(*heap, 2 * kPage);
  std::byte* const other = take(*heap, kPage);
  block[0] = std::byte{42};
  {
    const Witness witness;
    heap->release(block);
    REQUIRE(witness.heard.size() == 1);
    CHECK(witness.heard[0].data() == block);
    CHECK(witness.heard[0].size() == 2 * kPage);
    CHECK(witness.first == std::byte{42});
  }
  heap->release(other);
}

// A child's copy of the list of blocks must not decide over the parent's pages.
TEST_CASE("a forked child changes and releases nothing, and gets a heap of its own") {
  RegisteredHeap* const heap = RegisteredHeap::of_process().value();
  Result<RegisteredBlock> block = RegisteredBlock::allocate(2 * kPage);
  REQUIRE(block.ok());
  block.value().data()[0] = std::byte{7};
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const bool sees = block.value().data()[0] == std::byte{7};
    block.value().data()[0] = block.value().data()[kPage] = std::byte{9};
    heap->release(block.value().data());
    const Result<RegisteredHeap*> own = RegisteredHeap::of_process();
    ::_exit(sees && own.ok() && own.value() != heap && own.value()->allocate(10).ok() ? 0 : 1);
  }
  int outcome = -1;
  REQUIRE(::waitpid(child, &outcome, 0) == child);
  CHECK(outcome == 0);
  CHECK(block.value().data()[0] == std::byte{7});
  CHECK(block.value().data()[kPage] == std::byte{0});
}

}  // namespace
}  // namespace smddp
