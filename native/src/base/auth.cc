#include "base/auth.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "base/handshake.h"
#include "base/socket.h"

namespace smddp {
namespace {

Result<std::string> recv_exactly(int fd, std::size_t size, Deadline deadline) {
  std::string bytes(size, '\0');
  SMDDP_RETURN_IF_ERROR(recv_all(fd, std::as_writable_bytes(std::span(bytes)), deadline));
  return bytes;
}

Status send_bytes(int fd, const std::string& bytes, Deadline deadline) {
  return send_all(fd, std::as_bytes(std::span(bytes)), deadline);
}

}  // namespace

Status authenticate_server(int fd, const std::string& secret, const std::string& context,
                           Deadline deadline) {
  const ServerHandshake handshake{secret, context};
  SMDDP_RETURN_IF_ERROR(send_bytes(fd, handshake.challenge(), deadline));
  const auto answer = recv_exactly(fd, kAnswerBytes, deadline);
  if (!answer.ok()) return answer.status();
  const auto proof = handshake.check(answer.value());
  if (!proof.ok()) {
    // A client that does not even listen is refused all the same.
    static_cast<void>(send_bytes(fd, ServerHandshake::refusal(), deadline));
    return proof.status();
  }
  return send_bytes(fd, proof.value(), deadline);
}

Status authenticate_client(int fd, const std::string& secret, const std::string& context,
                           Deadline deadline) {
  ClientHandshake handshake{secret, context};
  const auto challenge = recv_exactly(fd, kChallengeBytes, deadline);
  if (!challenge.ok()) return challenge.status();
  const auto answer = handshake.answer(challenge.value());
  if (!answer.ok()) return answer.status();
  SMDDP_RETURN_IF_ERROR(send_bytes(fd, answer.value(), deadline));
  const auto proof = recv_exactly(fd, kProofBytes, deadline);
  if (!proof.ok()) return proof.status();
  return handshake.check(proof.value());
}

std::string random_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::getrandom(bytes.data() + filled, size - filled, 0);
    if (got > 0) {
      filled += static_cast<std::size_t>(got);
    } else if (got < 0 && errno != EINTR) {
      // Every kernel with memfd_create has getrandom; going on with a
      // guessable secret would be worse.
      std::perror("smddp: getrandom");
      std::abort();
    }
  }
  return bytes;
}

std::string to_hex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace smddp
