#include "base/handshake.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/auth.h"
#include "base/sha256.h"

namespace smddp {
namespace {

// Ends in the protocol's version: another version is refused before any proof is made.
constexpr std::string_view kMagic{"SMDDPH\0\1", 8};
constexpr std::size_t kNonceBytes = 32;
static_assert(kChallengeBytes == kMagic.size() + kNonceBytes);
static_assert(kAnswerBytes == kNonceBytes + Sha256::kDigestBytes);
static_assert(kProofBytes == Sha256::kDigestBytes);

std::string proof_of(std::string_view side, const std::string& secret, const std::string& context,
                     const std::string& challenge, const std::string& client_nonce) {
  // Every part but the context has a fixed length for its side, so parts cannot
  // be shifted into each other.
  std::string message{side};
  message += challenge;
  message += client_nonce;
  message += context;
  return hmac_sha256(secret, message);
}

constexpr std::string_view kClientLabel = "smddp client proof 1:";
constexpr std::string_view kServerLabel = "smddp server proof 1:";

Status refused(const std::string& who) {
  return {StatusCode::kInvalidArgument,
          who + " has another secret than this one, or belongs to another communicator"};
}

}  // namespace

ServerHandshake::ServerHandshake(std::string secret, std::string context)
    : secret_(std::move(secret)),
      context_(std::move(context)),
      challenge_(std::string(kMagic) + random_bytes(kNonceBytes)) {}

Result<std::string> ServerHandshake::check(const std::string& answer) const {
  if (answer.size() != kAnswerBytes) return refused("the connecting process");
  const std::string nonce = answer.substr(0, kNonceBytes);
  const std::string expected = proof_of(kClientLabel, secret_, context_, challenge_, nonce);
  if (!equal_in_constant_time(expected, std::string_view(answer).substr(kNonceBytes))) {
    return refused("the connecting process");
  }
  return proof_of(kServerLabel, secret_, context_, challenge_, nonce);
}

std::string ServerHandshake::refusal() { return std::string(kProofBytes, '\0'); }

ClientHandshake::ClientHandshake(std::string secret, std::string context)
    : secret_(std::move(secret)), context_(std::move(context)), nonce_(random_bytes(kNonceBytes)) {}

Result<std::string> ClientHandshake::answer(const std::string& challenge) {
  if (challenge.size() != kChallengeBytes || challenge.compare(0, kMagic.size(), kMagic) != 0) {
    return Status{StatusCode::kInvalidArgument,
                  "the listening process is not smddp, or another version of it; is the port used "
                  "by another program?"};
  }
  challenge_ = challenge;
  return nonce_ + proof_of(kClientLabel, secret_, context_, challenge_, nonce_);
}

Status ClientHandshake::check(const std::string& proof) const {
  const std::string expected = proof_of(kServerLabel, secret_, context_, challenge_, nonce_);
  if (!equal_in_constant_time(expected, proof)) return refused("the listening process");
  return {};
}

}  // namespace smddp
