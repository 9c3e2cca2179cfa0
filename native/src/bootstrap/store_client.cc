#include "bootstrap/store_client.h"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "base/auth.h"
#include "base/socket.h"
#include "bootstrap/keepalive.h"

namespace smddp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A deadline that has passed makes `get` a probe, which still needs a round trip.
constexpr seconds kProbeTime{2};
// A server that was there once and does not take another connection for so long is gone.
constexpr seconds kReconnectTime{5};

std::string describe(const StoreAddress& address) {
  if (!address.abstract_name.empty()) return "@" + address.abstract_name;
  return address.host + ":" + std::to_string(address.port);
}

}  // namespace

struct StoreClient::State {
  std::mutex mutex;
  std::vector<GuardedFd> idle;
  bool connected_once = false;
  bool gone = false;
};

StoreClient::StoreClient(StoreAddress address, std::string secret)
    : address_(std::move(address)),
      secret_(std::move(secret)),
      where_(describe(address_)),
      state_(std::make_unique<State>()) {}

StoreClient::~StoreClient() {
  // Another thread may have held the lock at the moment of the fork;
  // the descriptors are closed already.
  if (in_forked_child()) static_cast<void>(state_.release());
}

Status StoreClient::set(const std::string& key, const std::string& value, Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(check_store_limits(key, value));
  return request({.op = StoreOp::kSet, .key = key, .value = value}, deadline).status();
}

Result<std::string> StoreClient::get(const std::string& key, Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(check_store_limits(key, {}));
  const bool probe = deadline.passed();
  const Deadline until = probe ? Deadline::after(kProbeTime) : deadline;
  auto answer = request({.op = probe ? StoreOp::kProbe : StoreOp::kGet, .key = key}, until);
  if (!answer.ok()) return answer.status();
  if (answer.value().code == StoreAnswer::kOk) return std::move(answer.value().body);
  return Status{StatusCode::kTimeout, "store key '" + key + "' is not set at the store at rank 0"};
}

Result<std::int64_t> StoreClient::add(const std::string& key, std::int64_t delta,
                                      Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(check_store_limits(key, {}));
  const auto answer = request({.op = StoreOp::kAdd, .key = key, .delta = delta}, deadline);
  if (!answer.ok()) return answer.status();
  const std::string& text = answer.value().body;
  if (answer.value().code == StoreAnswer::kInvalid)
    return Status{StatusCode::kInvalidArgument, text};
  std::int64_t sum = 0;
  std::from_chars(text.data(), text.data() + text.size(), sum);
  return sum;
}

Result<StoreClient::Answer> StoreClient::request(const StoreRequest& request, Deadline deadline) {
  if (in_forked_child()) {
    return Status{StatusCode::kState, "the store cannot be used in a forked child process"};
  }
  auto connection = take_connection(deadline);
  if (!connection.ok()) return connection.status();
  auto answer = round_trip(connection.value().get(), request, deadline);
  if (answer.ok()) {
    const std::lock_guard lock(state_->mutex);
    state_->idle.push_back(std::move(connection).value());
  } else if (answer.status().code() == StatusCode::kPeerLost) {
    return gone();
  } else if (answer.status().code() == StatusCode::kTimeout) {
    return Status{StatusCode::kTimeout, request.op == StoreOp::kGet
                                            ? "store key '" + request.key + "' was not set in time"
                                            : "the store at rank 0 (" + where_ +
                                                  ") did not answer in time for key '" +
                                                  request.key + "'"};
  }
  return answer;
}

Result<StoreClient::Answer> StoreClient::round_trip(int fd, const StoreRequest& request,
                                                    Deadline deadline) {
  SMDDP_RETURN_IF_ERROR(send_frame(fd, encode_request(request), deadline));
  auto frame = recv_frame(fd, kMaxStoreFrame, deadline);
  if (!frame.ok()) return frame.status();
  if (frame.value().empty()) {
    return Status{StatusCode::kSystem, "the store at rank 0 (" + where_ + ") sent an empty answer"};
  }
  const auto code = static_cast<StoreAnswer>(frame.value()[0]);
  return Answer{code, frame.value().substr(1)};
}

Status StoreClient::gone() {
  const std::lock_guard lock(state_->mutex);
  state_->gone = true;
  state_->idle.clear();
  return {StatusCode::kPeerLost, "the store at rank 0 (" + where_ +
                                     ") is gone: rank 0 has ended or its host cannot be reached"};
}

Result<GuardedFd> StoreClient::take_connection(Deadline deadline) {
  bool is_gone = false;
  bool connected_once = false;
  {
    const std::lock_guard lock(state_->mutex);
    is_gone = state_->gone;
    connected_once = state_->connected_once;
    if (!is_gone && !state_->idle.empty()) {
      GuardedFd fd = std::move(state_->idle.back());
      state_->idle.pop_back();
      return fd;
    }
  }
  if (is_gone) return gone();
  const Deadline reconnect = Deadline::after(kReconnectTime);
  const bool impatient = connected_once && reconnect < deadline;
  auto fd = connect(impatient ? reconnect : deadline);
  if (fd.ok()) {
    const std::lock_guard lock(state_->mutex);
    state_->connected_once = true;
  } else if (impatient && fd.status().code() == StatusCode::kTimeout) {
    return gone();
  }
  return fd;
}

Result<GuardedFd> StoreClient::connect(Deadline deadline) {
  for (milliseconds pause{5};; pause = std::min(2 * pause, milliseconds{200})) {
    auto fd = address_.abstract_name.empty() ? connect_tcp(address_.host, address_.port, deadline)
                                             : connect_abstract(address_.abstract_name, deadline);
    if (fd.status().code() == StatusCode::kTimeout) {
      return Status{
          StatusCode::kTimeout,
          "rank 0, which serves the store, did not start in time: " + fd.status().message()};
    }
    if (!fd.ok()) return fd.status();
    GuardedFd connection(std::move(fd).value());
    keep_alive(connection.get());
    const Status known =
        authenticate_client(connection.get(), secret_, std::string(kStoreContext), deadline);
    if (known.ok()) return connection;
    if (known.code() == StatusCode::kTimeout) {
      return Status{StatusCode::kTimeout,
                    "the store at rank 0 (" + where_ +
                        ") did not answer in time; is it another program that listens there?"};
    }
    if (known.code() == StatusCode::kInvalidArgument) {
      return Status{StatusCode::kConfig,
                    "the store at rank 0 (" + where_ + "): " + known.message() +
                        "; give all ranks of a job the same SMDDP_JOB_SECRET and job id"};
    }
    if (known.code() != StatusCode::kPeerLost) return known;
    // It has too many clients at the moment, or this rank was too slow, or an
    // earlier job is just leaving.
    if (deadline.passed()) {
      return Status{StatusCode::kTimeout,
                    "the store at rank 0 (" + where_ + ") did not take this rank in time"};
    }
    ::poll(nullptr, 0, deadline.poll_timeout_ms(pause));
  }
}

}  // namespace smddp
