#include "smddp/job_store.h"

#include <utility>

#include "base/fork_guard.h"
#include "bootstrap/own_store.h"

namespace smddp {

Result<std::shared_ptr<Store>> open_job_store(const JobPlace& place) {
  Result<std::unique_ptr<OwnStore>> store = OwnStore::open(place);
  if (!store.ok()) return store.status();
  return std::shared_ptr<Store>{leak_in_child(std::move(store).value().release())};
}

}  // namespace smddp
