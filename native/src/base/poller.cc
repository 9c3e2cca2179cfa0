#include "base/poller.h"

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <string>

namespace smddp {
namespace {

// Bounds what a lost event could cost, and lets periodic checks run while everything is quiet.
constexpr std::chrono::milliseconds kLongestSleep{1000};
constexpr std::size_t kEventsPerSleep = 64;

}  // namespace

Result<Poller> Poller::open() {
  UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll.valid()) return errno_status("epoll_create1");
  return Poller{std::move(epoll)};
}

Status Poller::add(int fd) {
  epoll_event event{};
  // EPOLLOUT costs nothing when edge-triggered: it fires once at the start and then only after a
  // full send buffer.
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return errno_status("epoll_ctl(add descriptor " + std::to_string(fd) + ")");
  }
  return {};
}

Status Poller::enroll(int fd) {
  epoll_event nothing{};
  nothing.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &nothing) != 0)
    return errno_status("epoll_ctl(enroll descriptor " + std::to_string(fd) + ")");
  return {};
}

void Poller::arm(int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Poller::remove(int fd) noexcept {
  epoll_event ignored{};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &ignored);
}

void Poller::sleep(Deadline deadline) noexcept {
  // Events left over when there are more than fit end the next sleep at once; nothing is lost.
  std::array<epoll_event, kEventsPerSleep> events;
  ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
               deadline.poll_timeout_ms(kLongestSleep));
}

}  // namespace smddp
