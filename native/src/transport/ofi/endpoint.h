#pragma once

#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "smddp/status.h"

#include "transport/ofi/fid.h"
#include "transport/ofi/library.h"
#include "transport/ofi/operation.h"

namespace smddp {

/// Who may touch registered memory.
enum class MemoryUse : std::uint64_t {
  kSource = FI_SEND | FI_WRITE,
  kTarget = FI_RECV | FI_REMOTE_WRITE,
};

/// Local bytes and the provider's handle for them (null where it needs none).
struct LocalBytes {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  void* handle = nullptr;
};

/// Where a write goes, and what the receiver is told.
struct RemotePlace {
  std::uint64_t address = 0;
  std::uint64_t key = 0;
  std::uint32_t immediate = 0;
};

/// One network card (rail): a reliable-datagram endpoint with its completion queue and address
/// table. Used by one thread at a time; nothing blocks. Posts give kAgain when there is no room
/// now, and never let more be outstanding than the completion queue holds, because a provider need
/// not notice that it overflows. Destruction ends every operation without a report: their buffers
/// are not touched afterwards.
class Endpoint {
 public:
  struct Event {
    Operation* operation = nullptr;  ///< null: a peer has written to this rank's memory
    std::uint32_t immediate = 0;     ///< of that write
    std::size_t bytes = 0;           ///< of a received message
    int error = 0;                   ///< libfabric's
  };

  /// `remote_writes` bounds the writes of peers that may be reported at once.
  static Result<std::unique_ptr<Endpoint>> open(const Library& library, InfoPtr info,
                                                std::size_t remote_writes);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  /// "tcp;ofi_rxm"
  std::string provider() const { return info_->fabric_attr->prov_name; }
  /// libfabric's domain: "eth0", "rdmap0s31-rdm"
  std::string name() const { return info_->domain_attr->name; }
  bool has_rma() const noexcept { return (info_->caps & FI_RMA) != 0; }
  /// That a chunk may make.
  std::size_t longest_message() const noexcept;
  std::size_t most_receives() const noexcept { return most_receives_; }
  /// Sends and writes that have not ended.
  std::size_t sends() const noexcept { return sends_; }
  /// True when local memory has to be registered as well.
  bool registers_local() const noexcept { return has_mode(FI_MR_LOCAL); }
  /// The address that a peer writes to for the first byte of a registration that begins at `data`.
  std::uint64_t remote_address(const std::byte* data) const noexcept;
  std::string error_text(int error) const { return library_.error_text(error); }

  /// Opaque bytes for `add_peer` of the others.
  const std::string& address() const noexcept { return address_; }
  Result<fi_addr_t> add_peer(const std::string& address);
  Result<Fid<fid_mr>> register_memory(std::span<const std::byte> memory, MemoryUse use);

  Status send(const LocalBytes& message, fi_addr_t to, Operation& operation);
  Status send_tagged(const LocalBytes& message, std::uint64_t tag, fi_addr_t to,
                     Operation& operation);
  Status write(const LocalBytes& bytes, const RemotePlace& place, fi_addr_t to,
               Operation& operation);
  Status receive(const LocalBytes& buffer, Operation& operation);
  Status receive_tagged(const LocalBytes& buffer, std::uint64_t tag, Operation& operation);

  /// Drives the provider and says what has ended; 0 when nothing has.
  std::size_t poll(std::span<Event> events);
  /// Becomes readable when `poll` may have something, after `may_sleep` was true; -1 where the
  /// provider has no such descriptor.
  int wait_descriptor() const noexcept { return wait_descriptor_; }
  bool may_sleep();
  /// Ends every operation; nothing may be called afterwards.
  void stop() noexcept { endpoint_.reset(); }

 private:
  Endpoint(const Library& library, InfoPtr info) : library_(library), info_(std::move(info)) {}
  Status open_all(std::size_t remote_writes);
  Status open_queue(std::size_t entries);
  Status enable();
  bool has_mode(int bit) const noexcept { return (info_->domain_attr->mr_mode & bit) != 0; }
  Status posted(ssize_t result, std::size_t& outstanding, const char* what) const;
  Status failed(const char* what, int error) const;
  void read_error(Event& event);
  void retire(const Event& event) noexcept;

  const Library& library_;
  InfoPtr info_;
  Fid<fid_fabric> fabric_;
  Fid<fid_domain> domain_;
  Fid<fid_av> peers_;
  Fid<fid_cq> queue_;
  Fid<fid_ep> endpoint_;  // after what it is bound to, so that it closes first
  std::string address_;
  int wait_descriptor_ = -1;
  std::size_t most_sends_ = 0;
  std::size_t most_receives_ = 0;
  std::size_t sends_ = 0;  ///< outstanding, writes included
  std::size_t receives_ = 0;
};

}  // namespace smddp
