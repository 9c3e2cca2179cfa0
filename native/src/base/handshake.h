#pragma once

#include <cstddef>
#include <string>

#include "smddp/status.h"

namespace smddp {

// The two halves of the authentication in base/auth.h as values without I/O, for
// loops that must not block:
//
//   server -> client   challenge: magic and a random number
//   client -> server   answer:    its own random number and its proof
//   server -> client   proof, or a refusal before it closes
//
// The client proves itself first, so a stranger learns nothing made from the secret. The proofs of
// both sides carry different labels: neither can be sent back to its maker.

inline constexpr std::size_t kChallengeBytes = 40;
inline constexpr std::size_t kAnswerBytes = 64;
inline constexpr std::size_t kProofBytes = 32;

class ServerHandshake {
 public:
  ServerHandshake(std::string secret, std::string context);

  /// What to send first (kChallengeBytes).
  const std::string& challenge() const noexcept { return challenge_; }
  /// Checks the client's answer (kAnswerBytes); gives the proof to send back, or kInvalidArgument.
  Result<std::string> check(const std::string& answer) const;
  /// What to send in place of a proof, so that a client with another secret does not take the end
  /// of the connection for an accident and try again.
  static std::string refusal();

 private:
  std::string secret_;
  std::string context_;
  std::string challenge_;
};

class ClientHandshake {
 public:
  ClientHandshake(std::string secret, std::string context);

  /// The answer to the server's challenge, or kInvalidArgument when the
  /// other side is something else.
  Result<std::string> answer(const std::string& challenge);
  /// Checks the server's proof (kProofBytes).
  Status check(const std::string& proof) const;

 private:
  std::string secret_;
  std::string context_;
  std::string challenge_;
  std::string nonce_;
};

}  // namespace smddp
