#include "device/ipc_imports.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "base/start_thread.h"
#include "device/streams_wait.h"

namespace smddp {
namespace {

constexpr std::chrono::milliseconds kFirstPause{5};
constexpr std::chrono::milliseconds kPause{500};

using Key = std::tuple<int, std::uint64_t, std::uint64_t>;  // GPU here; process and id there

/// Groups of a process share what they open: the driver gives each of them the same. Never
/// destroyed.
struct Shared {
  struct Mapping {
    std::byte* start;
    int users;
  };
  std::mutex mutex;
  std::map<Key, Mapping> mappings;
};
Shared& shared() {
  static Shared& object = *new Shared;
  return object;
}

Result<std::byte*> map(const cuda::Gpu& gpu, std::uint64_t process, const IpcOffer& offer) {
  if (process == this_process()) return std::bit_cast<std::byte*>(offer.start);
  const std::lock_guard lock{shared().mutex};
  const Key key{gpu.ordinal(), process, offer.id};
  const auto known = shared().mappings.find(key);
  if (known != shared().mappings.end()) {
    ++known->second.users;
    return known->second.start;
  }
  cuda::IpcHandle handle{};
  std::memcpy(&handle, offer.handle, sizeof(handle));
  const Result<std::byte*> opened = gpu.open_shared(handle);
  if (opened.ok()) shared().mappings[key] = {opened.value(), 1};
  return opened;
}

/// May wait for all streams.
void unmap(const cuda::Gpu& gpu, std::uint64_t process, std::uint64_t id) {
  const std::lock_guard lock{shared().mutex};
  const auto mapping = shared().mappings.find(Key{gpu.ordinal(), process, id});
  if (mapping == shared().mappings.end() || --mapping->second.users > 0) return;
  gpu.close_shared(mapping->second.start);
  shared().mappings.erase(mapping);
}

}  // namespace

bool IpcImports::has_news(const Seen& seen, const IpcPeer* there) {
  return there != nullptr && load(there->words->changes) != seen.changes;
}

void IpcImports::look(const std::vector<const IpcPeer*>& peers) {
  bool any = false;
  for (std::size_t peer = 0; peer < peers.size(); ++peer)
    any = any || has_news(peers_[peer], peers[peer]);
  if (!any || is_at_it_.exchange(true)) return;
  const bool started = start_thread([self = shared_from_this(), peers] {
    const std::lock_guard lock{self->mutex_};
    for (std::size_t peer = 0; peer < peers.size() && !self->is_over_; ++peer) {
      if (has_news(self->peers_[peer], peers[peer])) self->follow(self->peers_[peer], *peers[peer]);
    }
    self->is_at_it_ = false;
  });
  if (!started) is_at_it_ = false;  // tensors are copied, then
}

void IpcImports::follow(Seen& seen, const IpcPeer& there) {
  const std::uint32_t changes = load(there.words->changes);
  const auto& offers = there.words->offers;
  auto& answers = there.words->answers[place_.rank];
  bool is_done = true;
  for (std::size_t k = 0; k < seen.opened.size(); ++k) {
    const std::uint64_t id = load(offers[k].id);
    if (id == seen.opened[k].id) continue;
    store(answers[k].id, std::uint64_t{0});
    put_away(seen.opened[k]);
    if (id != 0) is_done = open(offers[k], seen.opened[k], answers[k], there) && is_done;
  }
  if (is_done) seen.changes = changes;
  close_soon();
}

/// Whether that is done, and need not be tried again.
bool IpcImports::open(const IpcOffer& offer, Opened& opened, IpcAnswer& answer,
                      const IpcPeer& there) const {
  const std::uint64_t id = load(offer.id);
  const IpcOffer now = read(offer);
  if (now.id != id || id == 0) return false;  // another one already
  const Result<std::byte*> start = map(*gpu_, there.process, now);
  opened = {.id = id, .start = start.ok() ? start.value() : nullptr, .process = there.process};
  if (!start.ok()) {
    log_line(LogLevel::kInfo, "memory of another rank's GPU: " + start.status().message());
    return true;
  }
  store(answer.start, reinterpret_cast<std::uint64_t>(opened.start));
  store(answer.id, id);
  return true;
}

void IpcImports::put_away(Opened& opened) {
  const Opened old = std::exchange(opened, {});
  if (old.start != nullptr && old.process != this_process()) to_close_.push_back(old);
}

// Where there can be no thread, it stays open until more is to be closed.
void IpcImports::close_soon() {
  if (to_close_.empty() || is_closing_) return;
  is_closing_ = start_thread([self = shared_from_this()] {
    const auto all = [&] { self->close_all(); };
    for (auto pause = kFirstPause; !when_no_stream_waits(all); pause = std::min(2 * pause, kPause))
      std::this_thread::sleep_for(pause);
  });
}

void IpcImports::close_all() {
  const std::lock_guard lock{mutex_};
  for (const Opened& one : to_close_) unmap(*gpu_, one.process, one.id);
  to_close_.clear();
  is_closing_ = false;
}

void IpcImports::close(const std::function<void()>& then) {
  const std::lock_guard lock{mutex_};
  is_over_ = true;
  then();
  for (Seen& seen : peers_)
    for (Opened& opened : seen.opened) put_away(opened);
  close_soon();
}

}  // namespace smddp
