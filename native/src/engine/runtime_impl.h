#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "smddp/runtime.h"

#include "engine/completions.h"
#include "engine/peer_process.h"
#include "engine/progress_thread.h"

namespace smddp {

/// The one engine of a process. Communicators hold references to what they share through it.
class RuntimeImpl : public std::enable_shared_from_this<RuntimeImpl> {
 public:
  static Result<std::shared_ptr<RuntimeImpl>> start(const Config& config);
  ~RuntimeImpl();
  RuntimeImpl(const RuntimeImpl&) = delete;
  RuntimeImpl& operator=(const RuntimeImpl&) = delete;

  const Config& config() const noexcept { return config_; }
  const std::string& host_name() const noexcept { return host_name_; }
  /// Random name of this process, so that peers can tell two ranks of one process from two
  /// processes.
  const std::string& process_name() const noexcept { return process_name_; }
  ProgressThread& progress() noexcept { return *progress_; }
  Completions& completions() noexcept { return completions_; }

  /// The process of that name, made from the descriptors when it is met for the first time.
  std::shared_ptr<PeerProcess> meet(const std::string& process_name,
                                    ProcessDescriptors descriptors);

 private:
  RuntimeImpl(const Config& config, std::unique_ptr<ProgressThread> progress);

  const Config config_;
  const std::string host_name_;
  const std::string process_name_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<PeerProcess>> peers_;
  Completions completions_;  ///< outlives the engine thread, which hands over to it
  std::unique_ptr<ProgressThread> progress_;
};

}  // namespace smddp
