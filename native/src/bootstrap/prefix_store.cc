#include "bootstrap/prefix_store.h"

#include <utility>

namespace smddp {

PrefixStore::PrefixStore(std::shared_ptr<Store> store, std::string prefix)
    : store_(std::move(store)), prefix_(std::move(prefix) + "/") {}

Status PrefixStore::set(const std::string& key, const std::string& value, Deadline deadline) {
  return store_->set(prefix_ + key, value, deadline);
}

Result<std::string> PrefixStore::get(const std::string& key, Deadline deadline) {
  return store_->get(prefix_ + key, deadline);
}

Result<std::int64_t> PrefixStore::add(const std::string& key, std::int64_t delta,
                                      Deadline deadline) {
  return store_->add(prefix_ + key, delta, deadline);
}

}  // namespace smddp
