#include "bootstrap/own_store.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/auth.h"
#include "base/sha256.h"
#include "bootstrap/memory_store.h"
#include "bootstrap/store_client.h"
#include "bootstrap/store_server.h"

namespace smddp {
namespace {

constexpr std::chrono::seconds kDefaultGrace{3};

std::string abstract_name_of(const JobPlace& place) {
  // Job ids may be long or hold anything, socket names may not.
  const std::string digest = to_hex(sha256("smddp store name:" + place.job_id)).substr(0, 32);
  return "smddp-store-" + std::to_string(::getuid()) + "-" + digest;
}

Status check(const JobPlace& place) {
  if (place.size < 1 || place.rank < 0 || place.rank >= place.size) {
    return {StatusCode::kInvalidArgument, "rank " + std::to_string(place.rank) +
                                              " is not in a world of " +
                                              std::to_string(place.size)};
  }
  if (place.size == 1) return {};
  if (!place.master_addr.empty() && place.port == 0) {
    return {StatusCode::kConfig,
            "MASTER_ADDR is set and no port of rank 0's store is; set SMDDP_STORE_PORT or "
            "MASTER_PORT for all ranks"};
  }
  if (!place.master_addr.empty()) return {};
  constexpr const char* kAdvice =
      "; set MASTER_ADDR to the host of rank 0 for all ranks, or start the job with smddprun, "
      "which does so";
  if (place.local_size != place.size) {
    return {StatusCode::kConfig, "the job's " + std::to_string(place.size) +
                                     " ranks are on several hosts (" +
                                     std::to_string(place.local_size) +
                                     " on this one) and do not know where rank 0 is" + kAdvice};
  }
  if (place.job_id.empty()) {
    return {StatusCode::kConfig,
            std::string("the ranks know neither an address of rank 0 nor a job id to meet by") +
                kAdvice};
  }
  return {};
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "127.0.0.1"; }

Result<std::unique_ptr<StoreServer>> serve(const JobPlace& place, const StoreAddress& address) {
  StoreServerOptions options;
  options.secret = job_secret_of(place);
  options.abstract_name = address.abstract_name;
  // A rank may have a connection for each thread that waits.
  options.max_clients = 256 + 8 * static_cast<std::size_t>(place.size);
  if (address.abstract_name.empty()) {
    options.tcp_port = place.port;
    // Rank 0's name may mean another interface here than elsewhere, so only loopback
    // can be told apart safely.
    if (is_loopback(place.master_addr)) options.tcp_address = "127.0.0.1";
  }
  auto server = StoreServer::start(options);
  if (server.status().code() == StatusCode::kConfig && options.tcp_port) {
    return Status{StatusCode::kConfig,
                  server.status().message() + " (SMDDP_STORE_PORT chooses the port)"};
  }
  return server;
}

}  // namespace

std::string job_secret_of(const JobPlace& place) {
  return place.job_secret.empty() ? sha256("smddp job secret from job id:" + place.job_id)
                                  : place.job_secret;
}

/// Members are destroyed in reverse order: rank 0's own client leaves before its server stops.
struct OwnStore::Parts {
  std::unique_ptr<StoreServer> server;  ///< at rank 0
  std::unique_ptr<Store> store;
};

OwnStore::OwnStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<OwnStore>> OwnStore::open(const JobPlace& place) {
  SMDDP_RETURN_IF_ERROR(check(place));
  auto parts = std::make_unique<Parts>();
  if (place.size == 1) {
    parts->store = std::make_unique<MemoryStore>();
    return std::unique_ptr<OwnStore>(new OwnStore(std::move(parts)));
  }
  StoreAddress address;
  if (place.master_addr.empty()) {
    address.abstract_name = abstract_name_of(place);
  } else {
    address.host = place.master_addr;
    address.port = place.port;
  }
  if (place.rank == 0) {
    auto server = serve(place, address);
    if (!server.ok()) return server.status();
    parts->server = std::move(server).value();
    if (address.abstract_name.empty()) {
      // Reaching itself must not depend on names or firewalls.
      address.host = "127.0.0.1";
      address.port = parts->server->port();
    }
  }
  parts->store = std::make_unique<StoreClient>(std::move(address), job_secret_of(place));
  return std::unique_ptr<OwnStore>(new OwnStore(std::move(parts)));
}

OwnStore::~OwnStore() { close(Deadline::after(kDefaultGrace)); }

void OwnStore::close(Deadline grace) {
  parts_->store.reset();
  if (parts_->server) parts_->server->stop(grace);
}

Status OwnStore::set(const std::string& key, const std::string& value, Deadline deadline) {
  return parts_->store->set(key, value, deadline);
}

Result<std::string> OwnStore::get(const std::string& key, Deadline deadline) {
  return parts_->store->get(key, deadline);
}

Result<std::int64_t> OwnStore::add(const std::string& key, std::int64_t delta, Deadline deadline) {
  return parts_->store->add(key, delta, deadline);
}

}  // namespace smddp
