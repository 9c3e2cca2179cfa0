#include "transport/ofi/registration.h"

#include <algorithm>
#include <utility>

namespace smddp {
namespace {

bool contains(std::span<const std::byte> outer, std::span<const std::byte> inner) {
  return inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size();
}

bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.data() < b.data() + b.size() && b.data() < a.data() + a.size();
}

}  // namespace

RegistrationCache::RegistrationCache(Endpoint& endpoint, std::span<const std::byte> kept,
                                     std::size_t most)
    : endpoint_(endpoint), kept_(kept), most_(most) {
  add_release_listener(*this);
}

RegistrationCache::~RegistrationCache() { remove_release_listener(*this); }

Result<RegistrationCache::Lease> RegistrationCache::acquire(std::span<const std::byte> memory,
                                                            MemoryUse use) {
  const std::lock_guard lock{mutex_};
  if (const auto found = find(memory, use); found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
  } else {
    Result<Fid<fid_mr>> region = endpoint_.register_memory(memory, use);
    if (!region.ok()) return region.status();
    entries_.push_front(Entry{memory, use, std::move(region).value(), 0, contains(kept_, memory)});
  }
  ++entries_.front().leases;
  close_unused();
  return Lease{*this, entries_.front()};
}

void RegistrationCache::on_release(std::span<const std::byte> memory) noexcept {
  const std::lock_guard lock{mutex_};
  for (Entry& entry : entries_) {
    if (overlap(entry.memory, memory)) entry.keep = false;
  }
}

std::size_t RegistrationCache::size() const {
  const std::lock_guard lock{mutex_};
  return entries_.size();
}

RegistrationCache::Entries::iterator RegistrationCache::find(std::span<const std::byte> memory,
                                                             MemoryUse use) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.keep && entry.use == use && contains(entry.memory, memory);
  });
}

void RegistrationCache::close_unused() {
  std::size_t idle = 0;
  std::erase_if(entries_, [&](const Entry& entry) {
    return entry.leases == 0 && (!entry.keep || ++idle > most_);
  });
}

void RegistrationCache::give_back(Entry& entry) noexcept {
  const std::lock_guard lock{mutex_};
  --entry.leases;
  close_unused();
}

RegistrationCache::Lease::Lease(Lease&& other) noexcept
    : cache_(other.cache_), entry_(std::exchange(other.entry_, nullptr)) {}

RegistrationCache::Lease& RegistrationCache::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    reset();
    cache_ = other.cache_;
    entry_ = std::exchange(other.entry_, nullptr);
  }
  return *this;
}

void* RegistrationCache::Lease::handle() const noexcept {
  return valid() ? ::fi_mr_desc(entry_->region.get()) : nullptr;
}

std::uint64_t RegistrationCache::Lease::key() const noexcept {
  return ::fi_mr_key(entry_->region.get());
}

std::uint64_t RegistrationCache::Lease::address_of(const std::byte* data) const noexcept {
  return cache_->endpoint_.remote_address(entry_->memory.data()) +
         static_cast<std::uint64_t>(data - entry_->memory.data());
}

void RegistrationCache::Lease::reset() noexcept {
  if (entry_ != nullptr) cache_->give_back(*std::exchange(entry_, nullptr));
}

}  // namespace smddp
