#include "support/fabric.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "smddp/transports.h"

#include "bootstrap/memory_store.h"

namespace smddp::test {
namespace {

void throw_if_error(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

template <typename T>
T value_or_throw(Result<T> result) {
  if (!result.ok()) throw_if_error(result.status());
  return std::move(result).value();
}

/// Without those over a transport that this build leaves out.
std::vector<Fabric> built(std::vector<Fabric> fabrics) {
  const std::vector<std::string> names = transport_names();
  if (std::find(names.begin(), names.end(), "ofi") == names.end())
    std::erase_if(fabrics, [](const Fabric& fabric) { return fabric.transport.ends_with("ofi"); });
  return fabrics;
}

}  // namespace

const std::vector<Fabric>& fabrics() {
  static const std::vector<Fabric> all = built({
      {"inproc", "inproc"},
      {"tcp", "tcp"},
      {"shm", "auto"},
      {"two hosts, shm and tcp", "auto", true},
      {"two hosts, shm and inproc", "shm+inproc", true},
      {"ofi", "ofi"},
      {"two hosts, shm and ofi", "shm+ofi", true},
  });
  return all;
}

Config test_config(const Fabric& fabric, Rank rank, int world) {
  Config config;
  config.transport = fabric.transport;
  config.order = fabric.order;
  config.partials = fabric.partials;
  config.algorithm = fabric.algorithm;
  config.ofi_provider = "tcp";
  config.timeout = std::chrono::seconds{20};
  config.chunk_bytes = 4096;
  config.host_id = fabric.two_hosts && 3 * rank >= 2 * world ? "host B" : "host A";
  return config;
}

World::World(const Fabric& fabric, int size)
    : fabric_(fabric),
      size_(size),
      runtime_(value_or_throw(Runtime::acquire(Config{}))),
      store_(std::make_shared<MemoryStore>()) {}

std::unique_ptr<Communicator> World::join(Rank rank, const std::string& group) const {
  return value_or_throw(runtime_->create_communicator(options(rank, group), config(rank)));
}

std::unique_ptr<KeyedCommunicator> World::join_keyed(Rank rank) const {
  return value_or_throw(KeyedCommunicator::create(*runtime_, options(rank, "keyed"), config(rank)));
}

CommunicatorOptions World::options(Rank rank, const std::string& group) const {
  return {rank, size_, group, store_};
}

Config World::config(Rank rank) const { return test_config(fabric_, rank, size_); }

void World::run(const std::function<void(Rank)>& body) const {
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < size_; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (...) {
        const std::lock_guard lock{mutex};
        if (!failure) failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

void run_world(const Fabric& fabric, int world, const std::function<void(Communicator&)>& body) {
  const World ranks{fabric, world};
  ranks.run([&](Rank rank) { body(*ranks.join(rank)); });
}

Status outcome_of(const Work& work) {
  Status outcome = Status::again();
  while (outcome.is_again()) outcome = work.wait(Deadline::never());
  return outcome;
}

Status outcome_of(Communicator& communicator, Request request) {
  return outcome_of(communicator.submit(std::move(request)));
}

void run(Communicator& communicator, Request request) {
  throw_if_error(outcome_of(communicator, std::move(request)));
}

void finish(const Work& work) { throw_if_error(outcome_of(work)); }

}  // namespace smddp::test
