#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "smddp/export.h"
#include "smddp/types.h"

namespace smddp {

/// What kind of failure a `Status` reports. The Python side maps each code to one exception class.
enum class StatusCode : unsigned char {
  kOk,
  kAgain,            ///< not now: no resources or no data yet; never reaches users
  kInvalidArgument,  ///< the caller's argument is wrong
  kConfig,           ///< an environment variable or option has an unusable value
  kState,            ///< wrong moment: not initialised, already closed, or inside a forked child
  kMismatch,         ///< ranks called different collectives, dtypes, counts or roots
  kTimeout,          ///< the deadline passed
  kPeerLost,         ///< a rank died, or left before the operation
  kAborted,          ///< the communicator was closed while the operation was pending
  kSystem,           ///< the operating system refused something
};

/// Success or one failure: a code and a sentence for people. Copyable and cheap when ok.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  /// `missing`: the members of the group that were waited for in vain, where that is the failure.
  Status(StatusCode code, std::string message, std::vector<Rank> missing = {})
      : code_(code),
        detail_(std::make_shared<const Detail>(std::move(message), std::move(missing))) {}

  static Status again() noexcept {
    Status status;
    status.code_ = StatusCode::kAgain;
    return status;
  }

  bool ok() const noexcept { return code_ == StatusCode::kOk; }
  bool is_again() const noexcept { return code_ == StatusCode::kAgain; }
  StatusCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return detail().message; }
  const std::vector<Rank>& missing() const noexcept { return detail().missing; }

 private:
  struct Detail {
    Detail() = default;
    Detail(std::string text, std::vector<Rank> ranks)
        : message(std::move(text)), missing(std::move(ranks)) {}
    std::string message;
    std::vector<Rank> missing;
  };

  const Detail& detail() const noexcept {
    static const Detail none;
    return detail_ ? *detail_ : none;
  }

  StatusCode code_ = StatusCode::kOk;
  std::shared_ptr<const Detail> detail_;
};

/// "what: strerror(errno)" as a kSystem status.
SMDDP_API Status errno_status(const std::string& what);

/// A value or the reason why there is none. `value()` may be called only when `ok()`.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::move(value)) {}  // NOLINT(google-explicit-constructor): reads like a return
  Result(Status failure) : state_(std::move(failure)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? Status{} : std::get<Status>(state_); }
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace smddp

/// Returns the failure of a Status expression to the caller.
#define SMDDP_RETURN_IF_ERROR(expression)                                                     \
  do {                                                                                        \
    if (::smddp::Status smddp_status = (expression); !smddp_status.ok()) return smddp_status; \
  } while (false)
