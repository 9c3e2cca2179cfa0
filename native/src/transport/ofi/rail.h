#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "smddp/status.h"

#include "transport/ofi/buffers.h"
#include "transport/ofi/endpoint.h"
#include "transport/ofi/message.h"
#include "transport/ofi/registration.h"

namespace smddp {

/// An endpoint with what its messages lie in: buffers, registrations, operations.
class OfiRail {
 public:
  ~OfiRail() { stop(); }
  OfiRail(const OfiRail&) = delete;
  OfiRail& operator=(const OfiRail&) = delete;

  static Result<std::unique_ptr<OfiRail>> open(const Library& library, InfoPtr info);
  /// Makes room for so many messages, and lets them come. None is longer, here or there.
  Status prepare(std::size_t messages, std::size_t bytes_each);

  /// The card touches nothing any more. Leases may be given back afterwards, nothing else.
  void stop() noexcept { endpoint_->stop(); }

  Endpoint& endpoint() noexcept { return *endpoint_; }
  RegistrationCache& registrations() noexcept { return registrations_; }

  /// Sends a copy of header and payload. kAgain when there is no room now.
  Status send(const MessageHeader& header, std::span<const std::byte> payload, fi_addr_t to,
              Channel& channel, std::optional<Token> token = std::nullopt);
  void give_back_sent(std::uint32_t buffer) noexcept { sends_.give_back(buffer); }

  std::span<const std::byte> received(std::uint32_t buffer) const noexcept {
    return receives_.bytes(buffer);
  }
  /// A buffer has been filled; to be called once for each, also when that failed.
  void note_received();
  /// The buffer may be filled again.
  void give_back_received(std::uint32_t buffer);

  /// For one chunk.
  Operation& take_operation(OperationKind kind, std::uint32_t number, Channel& channel);
  void give_back(Operation& operation) { idle_operations_.push_back(&operation); }

 private:
  explicit OfiRail(std::unique_ptr<Endpoint> endpoint);
  void post_spare();

  std::unique_ptr<Endpoint> endpoint_;
  RegistrationCache registrations_;
  Buffers sends_;
  Buffers receives_;
  std::size_t receives_posted_ = 0;
  std::size_t most_posted_ = 0;
  std::deque<Operation> operations_;
  std::vector<Operation*> idle_operations_;
};

}  // namespace smddp
