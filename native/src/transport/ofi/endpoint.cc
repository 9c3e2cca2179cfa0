#include "transport/ofi/endpoint.h"

#include <rdma/fi_cm.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/auth.h"
#include "transport/ofi/providers.h"

namespace smddp {
namespace {

constexpr std::size_t kMostSends = 1024;
constexpr std::size_t kMostReceives = 16384;
constexpr std::size_t kEventsAtOnce = 64;
constexpr std::size_t kLongestAddress = 512;

/// A tag is met exactly, by messages of any peer: it names the receive.
constexpr std::uint64_t kNothingIgnored = 0;

std::uint64_t random_key(std::size_t key_bytes) {
  std::uint64_t key = 0;
  const std::string random = random_bytes(sizeof(key));
  std::copy(random.begin(), random.end(), reinterpret_cast<char*>(&key));
  return key_bytes >= sizeof(key) ? key : key & ((std::uint64_t{1} << (8 * key_bytes)) - 1);
}

}  // namespace

Result<std::unique_ptr<Endpoint>> Endpoint::open(const Library& library, InfoPtr info,
                                                 std::size_t remote_writes) {
  std::unique_ptr<Endpoint> endpoint{new Endpoint{library, std::move(info)}};
  SMDDP_RETURN_IF_ERROR(endpoint->open_all(remote_writes));
  return endpoint;
}

Status Endpoint::open_all(std::size_t remote_writes) {
  Result<Fid<fid_fabric>> fabric = library_.open_fabric(*info_->fabric_attr);
  if (!fabric.ok()) return fabric.status();
  fabric_ = std::move(fabric).value();

  fid_domain* domain = nullptr;
  if (const int error = ::fi_domain(fabric_.get(), info_.get(), &domain, nullptr); error != 0)
    return failed("fi_domain", error);
  domain_.reset(domain);

  fi_av_attr table{};
  table.type = FI_AV_UNSPEC;
  fid_av* peers = nullptr;
  if (const int error = ::fi_av_open(domain, &table, &peers, nullptr); error != 0)
    return failed("fi_av_open", error);
  peers_.reset(peers);

  most_sends_ = std::min<std::size_t>(info_->tx_attr->size, kMostSends);
  most_receives_ = std::min<std::size_t>(info_->rx_attr->size, kMostReceives);
  SMDDP_RETURN_IF_ERROR(open_queue(most_sends_ + most_receives_ + remote_writes));
  return enable();
}

Status Endpoint::open_queue(std::size_t entries) {
  fi_cq_attr attributes{};
  attributes.size = entries;
  attributes.format = FI_CQ_FORMAT_DATA;
  attributes.wait_obj = FI_WAIT_FD;
  fid_cq* queue = nullptr;
  int error = ::fi_cq_open(domain_.get(), &attributes, &queue, nullptr);
  const bool can_wait = error == 0;
  if (!can_wait) {
    attributes.wait_obj = FI_WAIT_NONE;
    error = ::fi_cq_open(domain_.get(), &attributes, &queue, nullptr);
  }
  if (error != 0) return failed("fi_cq_open", error);
  queue_.reset(queue);
  if (can_wait && ::fi_control(&queue->fid, FI_GETWAIT, &wait_descriptor_) != 0)
    wait_descriptor_ = -1;
  return {};
}

Status Endpoint::enable() {
  fid_ep* endpoint = nullptr;
  if (const int error = ::fi_endpoint(domain_.get(), info_.get(), &endpoint, nullptr); error != 0)
    return failed("fi_endpoint", error);
  endpoint_.reset(endpoint);
  int error = ::fi_ep_bind(endpoint, &peers_->fid, 0);
  if (error == 0) error = ::fi_ep_bind(endpoint, &queue_->fid, FI_TRANSMIT | FI_RECV);
  if (error == 0) error = ::fi_enable(endpoint);
  if (error != 0) return failed("fi_enable", error);

  std::array<char, kLongestAddress> text;
  std::size_t length = text.size();
  error = ::fi_getname(&endpoint->fid, text.data(), &length);
  if (error != 0) return failed("fi_getname", error);
  address_.assign(text.data(), length);
  return {};
}

std::size_t Endpoint::longest_message() const noexcept {
  const std::size_t longest = info_->ep_attr->max_msg_size;
  return is_rxm_over_tcp(*info_) ? std::min(longest, Library::kLongestTcpMessage) : longest;
}

std::uint64_t Endpoint::remote_address(const std::byte* data) const noexcept {
  return has_mode(FI_MR_VIRT_ADDR) ? reinterpret_cast<std::uint64_t>(data) : 0;
}

Result<fi_addr_t> Endpoint::add_peer(const std::string& address) {
  fi_addr_t place = FI_ADDR_UNSPEC;
  // libfabric takes the format from the endpoint: another length is another provider's address.
  if (address.size() != address_.size() ||
      ::fi_av_insert(peers_.get(), address.data(), 1, &place, 0, nullptr) != 1) {
    return Status{StatusCode::kSystem,
                  provider() + " does not take the address that a peer has published"};
  }
  return place;
}

Result<Fid<fid_mr>> Endpoint::register_memory(std::span<const std::byte> memory, MemoryUse use) {
  fid_mr* region = nullptr;
  // A key that nobody can guess, where it is ours to choose; twice the same is refused.
  const std::uint64_t key =
      has_mode(FI_MR_PROV_KEY) ? 0 : random_key(info_->domain_attr->mr_key_size);
  const int error = ::fi_mr_reg(domain_.get(), memory.data(), memory.size(),
                                static_cast<std::uint64_t>(use), 0, key, 0, &region, nullptr);
  if (error != 0) return failed("fi_mr_reg", error);
  return Fid<fid_mr>{region};
}

Status Endpoint::send(const LocalBytes& message, fi_addr_t to, Operation& operation) {
  if (sends_ == most_sends_) return Status::again();
  return posted(
      ::fi_send(endpoint_.get(), message.data, message.bytes, message.handle, to, &operation),
      sends_, "fi_send");
}

Status Endpoint::send_tagged(const LocalBytes& message, std::uint64_t tag, fi_addr_t to,
                             Operation& operation) {
  if (sends_ == most_sends_) return Status::again();
  return posted(
      ::fi_tsend(endpoint_.get(), message.data, message.bytes, message.handle, to, tag, &operation),
      sends_, "fi_tsend");
}

Status Endpoint::write(const LocalBytes& bytes, const RemotePlace& place, fi_addr_t to,
                       Operation& operation) {
  if (sends_ == most_sends_) return Status::again();
  return posted(::fi_writedata(endpoint_.get(), bytes.data, bytes.bytes, bytes.handle,
                               place.immediate, to, place.address, place.key, &operation),
                sends_, "fi_writedata");
}

Status Endpoint::receive(const LocalBytes& buffer, Operation& operation) {
  if (receives_ == most_receives_) return Status::again();
  return posted(::fi_recv(endpoint_.get(), buffer.data, buffer.bytes, buffer.handle, FI_ADDR_UNSPEC,
                          &operation),
                receives_, "fi_recv");
}

Status Endpoint::receive_tagged(const LocalBytes& buffer, std::uint64_t tag, Operation& operation) {
  if (receives_ == most_receives_) return Status::again();
  return posted(::fi_trecv(endpoint_.get(), buffer.data, buffer.bytes, buffer.handle,
                           FI_ADDR_UNSPEC, tag, kNothingIgnored, &operation),
                receives_, "fi_trecv");
}

std::size_t Endpoint::poll(std::span<Event> events) {
  std::array<fi_cq_data_entry, kEventsAtOnce> entries;
  const ssize_t count =
      ::fi_cq_read(queue_.get(), entries.data(), std::min(entries.size(), events.size()));
  if (count == -FI_EAVAIL) {
    read_error(events[0]);
    retire(events[0]);
    return 1;
  }
  for (ssize_t i = 0; i < count; ++i) {
    const fi_cq_data_entry& entry = entries[static_cast<std::size_t>(i)];
    Event event;
    // Messages of ours carry no immediate.
    if ((entry.flags & FI_REMOTE_CQ_DATA) != 0) {
      event.immediate = static_cast<std::uint32_t>(entry.data);
    } else {
      event.operation = static_cast<Operation*>(entry.op_context);
      event.bytes = entry.len;
    }
    retire(event);
    events[static_cast<std::size_t>(i)] = event;
  }
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

void Endpoint::read_error(Event& event) {
  fi_cq_err_entry entry{};
  event = {};
  if (::fi_cq_readerr(queue_.get(), &entry, 0) < 0) {
    event.error = FI_EOTHER;
    return;
  }
  event.operation = static_cast<Operation*>(entry.op_context);
  event.error = entry.err != 0 ? entry.err : FI_EOTHER;
}

void Endpoint::retire(const Event& event) noexcept {
  if (event.operation == nullptr) return;
  const OperationKind kind = event.operation->kind;
  const bool is_receive = kind == OperationKind::kReceive || kind == OperationKind::kTaggedReceive;
  --(is_receive ? receives_ : sends_);
}

bool Endpoint::may_sleep() {
  if (wait_descriptor_ < 0) return true;
  fid* waited = &queue_->fid;
  return ::fi_trywait(fabric_.get(), &waited, 1) == 0;
}

Status Endpoint::posted(ssize_t result, std::size_t& outstanding, const char* what) const {
  if (result == 0) {
    ++outstanding;
    return {};
  }
  if (result == -FI_EAGAIN) return Status::again();
  return failed(what, static_cast<int>(result));
}

Status Endpoint::failed(const char* what, int error) const {
  return {StatusCode::kSystem,
          provider() + " on " + name() + ": " + what + ": " + library_.error_text(error)};
}

}  // namespace smddp
