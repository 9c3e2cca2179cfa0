#include "memory/registered_heap.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "memory/release_listener.h"

namespace smddp {
namespace {

constexpr std::size_t kPage = 4096;
// A host of 192 ranks, each of which maps all heaps, stays within half of 47 bits.
constexpr std::size_t kLargest = std::size_t{256} << 30;

// No lock, because a fork could leave it locked in the child.
std::atomic<RegisteredHeap*> g_heap{nullptr};

void on_fork_in_child() {
  if (RegisteredHeap* heap = g_heap.load(); heap != nullptr) heap->become_private();
}

std::size_t pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

Status no_room(std::size_t bytes, std::size_t capacity) {
  const std::string wanted = "no room for " + std::to_string(bytes) + " bytes of registered memory";
  if (capacity == 0) {
    return Status{StatusCode::kInvalidArgument,
                  wanted +
                      ": the system gives this process none; raise its limits on all ranks (ulimit "
                      "-v unlimited, ulimit -f unlimited)"};
  }
  return Status{StatusCode::kInvalidArgument,
                wanted + ": a process has " + std::to_string(capacity) +
                    " bytes of it; release some, or use ordinary memory for this array"};
}

/// Address space for the process's heap: the machine's memory, at most 256 GiB; none where address
/// space or the size of files is limited (ulimit -v, -f).
std::size_t capacity_of_process() noexcept {
  for (const auto resource : {RLIMIT_AS, RLIMIT_FSIZE}) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return 0;
  }
  const long page_count = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (page_count <= 0 || page_bytes <= 0) return 0;
  const std::size_t memory =
      static_cast<std::size_t>(page_count) * static_cast<std::size_t>(page_bytes);
  return std::min(memory, kLargest) / kPage * kPage;
}

}  // namespace

RegisteredHeap::RegisteredHeap(UniqueFd file, Mapping mapping)
    : file_(std::move(file)), mapping_(std::move(mapping)), owner_(::getpid()) {
  if (const std::size_t capacity = bytes().size(); capacity > 0) holes_.emplace(0, Block{capacity});
}

Result<std::unique_ptr<RegisteredHeap>> RegisteredHeap::create(std::size_t capacity) {
  Result<UniqueFd> file = create_memory_file(capacity);
  if (!file.ok()) return file.status();
  Result<Mapping> mapping = Mapping::sparse(file.value().get(), capacity, InChildren::kShared);
  if (!mapping.ok()) return mapping.status();
  return std::unique_ptr<RegisteredHeap>{
      new RegisteredHeap{std::move(file).value(), std::move(mapping).value()}};
}

// A forked child starts one of its own; what it has inherited stays its parent's.
RegisteredHeap* RegisteredHeap::known() noexcept {
  RegisteredHeap* heap = g_heap.load();
  return heap != nullptr && !heap->is_elsewhere() ? heap : nullptr;
}

Result<RegisteredHeap*> RegisteredHeap::of_process() {
  if (RegisteredHeap* heap = known(); heap != nullptr) return heap;
  RegisteredHeap* heap = g_heap.load();  // a parent's, or none
  Result<std::unique_ptr<RegisteredHeap>> made = create(capacity_of_process());
  if (!made.ok()) made = create(0);
  if (!made.ok()) return made.status();
  if (!g_heap.compare_exchange_strong(heap, made.value().get())) return heap;
  ::pthread_atfork(nullptr, nullptr, on_fork_in_child);
  return std::move(made).value().release();
}

void RegisteredHeap::become_private() noexcept {
  const auto heap = bytes();
  if (heap.empty()) return;
  // Made elsewhere and then put in place of the shared one, which stays if the system refuses.
  void* const own = ::mmap(nullptr, heap.size(), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_NORESERVE, file_.get(), 0);
  if (own == MAP_FAILED) return;
  ::madvise(own, heap.size(), MADV_DONTDUMP);
  ::mremap(own, heap.size(), heap.size(), MREMAP_MAYMOVE | MREMAP_FIXED, heap.data());
}

bool RegisteredHeap::is_elsewhere() const noexcept { return ::getpid() != owner_; }

Result<std::byte*> RegisteredHeap::allocate(std::size_t bytes) {
  const std::size_t capacity = this->bytes().size();
  if (bytes > capacity) return no_room(bytes, capacity);
  const std::size_t wanted = std::max(pages(bytes), kPage);
  const std::lock_guard lock{mutex_};
  const auto hole = std::find_if(holes_.begin(), holes_.end(),
                                 [wanted](const auto& one) { return one.second.bytes >= wanted; });
  if (hole == holes_.end()) return no_room(bytes, capacity);
  const std::size_t offset = hole->first;
  blocks_.emplace(offset, Block{wanted});  // the one step that may throw comes first
  Blocks::node_type rest = holes_.extract(hole);
  if (rest.mapped().bytes > wanted) {
    rest.key() += wanted;
    rest.mapped().bytes -= wanted;
    holes_.insert(std::move(rest));
  }
  return this->bytes().data() + offset;
}

void RegisteredHeap::release(std::byte* block) noexcept {
  if (is_elsewhere()) return;
  const std::lock_guard lock{mutex_};
  const auto found = blocks_.find(static_cast<std::size_t>(block - bytes().data()));
  if (found == blocks_.end() || found->second.retired) return;
  tell_released({block, found->second.bytes});
  // The file's pages go as well, so that peers do not hold on to them. Locked ones stay.
  if (::madvise(block, found->second.bytes, MADV_REMOVE) != 0)
    std::memset(block, 0, found->second.bytes);
  give_back(blocks_.extract(found));
}

void RegisteredHeap::give_back(Blocks::node_type block) noexcept {
  const auto next = holes_.lower_bound(block.key());
  if (next != holes_.end() && next->first == block.key() + block.mapped().bytes) {
    block.mapped().bytes += next->second.bytes;
    holes_.erase(next);
  }
  const auto after = holes_.lower_bound(block.key());
  if (after != holes_.begin()) {
    Block& previous = std::prev(after)->second;
    if (std::prev(after)->first + previous.bytes == block.key()) {
      previous.bytes += block.mapped().bytes;
      return;
    }
  }
  holes_.insert(std::move(block));
}

void RegisteredHeap::retire(const void* address) noexcept {
  const auto* const place = static_cast<const std::byte*>(address);
  const auto heap = bytes();
  if (place < heap.data() || place >= heap.data() + heap.size()) return;
  const auto offset = static_cast<std::size_t>(place - heap.data());
  const std::lock_guard lock{mutex_};
  const auto after = blocks_.upper_bound(offset);
  if (after == blocks_.begin()) return;
  const auto found = std::prev(after);
  if (offset < found->first + found->second.bytes) found->second.retired = true;
}

}  // namespace smddp
