#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>

#include "smddp/communicator.h"
#include "smddp/config.h"
#include "smddp/export.h"
#include "smddp/request.h"
#include "smddp/runtime.h"
#include "smddp/status.h"

namespace smddp {

class KeyedQueue;

/// A group whose members submit the same collectives in different orders, as frameworks do that
/// execute graphs. Every collective has a key, equal on all ranks; the n-th submission of a key on
/// one rank meets the n-th on the others. All ranks run them in the order in which rank 0 submits
/// them (or, when it has joined, the first rank that has not), which it tells the others
/// beforehand.
///
/// A rank that does not come to a collective that that rank has started, or the other way round, is
/// named, with the key, on every rank at the deadline. Thread-safe.
class SMDDP_API KeyedCommunicator {
 public:
  /// `options.dependent` must be empty.
  static Result<std::unique_ptr<KeyedCommunicator>> create(Runtime& runtime,
                                                           CommunicatorOptions options,
                                                           const Config& config);
  /// The one that graph ops use, as they have no handle of their own; null when there is none.
  static std::shared_ptr<KeyedCommunicator> of_process();
  static void set_of_process(std::shared_ptr<KeyedCommunicator> group);

  KeyedCommunicator(std::shared_ptr<KeyedQueue> queue, std::chrono::milliseconds leave_grace);
  ~KeyedCommunicator();
  KeyedCommunicator(const KeyedCommunicator&) = delete;
  KeyedCommunicator& operator=(const KeyedCommunicator&) = delete;

  Rank rank() const;
  int world() const;

  /// Starts a collective; `request.on_complete` tells how it ended. `request.synchronous` is not
  /// looked at. Errors call it by `request.name`, by its key where that is empty. `on_turn` is
  /// called before it runs, for one collective after the other in the order that all ranks have; it
  /// may neither wait nor submit. Not called when the group fails first.
  void submit(const std::string& key, Request request, std::function<void()> on_turn = {});
  /// Waits until every rank has called it, for ranks that have different numbers of collectives to
  /// run. Until then this rank takes part in the all_reduces, barriers and broadcasts of the others
  /// and changes none of their results: it brings zeros to sums and averages (which are divided by
  /// the world's size as ever). In no other collective: then the group fails.
  ///
  /// The result is the rank that has run the most, the lowest of them when there are several.
  std::future<Result<Rank>> join();
  /// As Communicator::leave.
  void leave(std::chrono::milliseconds grace, const std::string& why = {});

 private:
  std::shared_ptr<KeyedQueue> queue_;
  std::chrono::milliseconds leave_grace_;
};

}  // namespace smddp
