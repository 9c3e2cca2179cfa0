#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transport/transport.h"

namespace smddp::test {

/// Stands for the connection: what is said reaches the other side only if the test passes it on.
class RecordedControl final : public Transport {
 public:
  std::string_view name() const noexcept override { return "recorded"; }
  Result<std::string> listen() override { return std::string{}; }
  Status connect(std::span<const PeerAddress>, const std::string&, const std::string&,
                 Deadline) override {
    return {};
  }
  Status watch(Poller&) override { return {}; }
  void unwatch(Poller&) noexcept override {}
  void arm(Poller&) noexcept override {}
  Status post_send(Rank, const SendDesc&, Token) override { return {}; }
  Status post_recv(Rank, const RecvDesc&, Token) override { return {}; }
  void post_notice(Rank, std::span<const std::byte> bytes) override {
    said.emplace_back(bytes.begin(), bytes.end());
  }
  bool progress(CompletionSink&) override { return false; }
  void abandon() override {}
  bool flushed() const noexcept override { return true; }
  bool flushed_to(Rank) const noexcept override { return true; }

  std::vector<std::vector<std::byte>> said;
};

}  // namespace smddp::test
