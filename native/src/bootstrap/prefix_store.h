#pragma once

#include <memory>
#include <string>

#include "smddp/store.h"

namespace smddp {

/// A store whose keys are "prefix/key" in another one: the part of a store
/// that belongs to one communicator.
class PrefixStore final : public Store {
 public:
  PrefixStore(std::shared_ptr<Store> store, std::string prefix);

  Status set(const std::string& key, const std::string& value, Deadline deadline) override;
  Result<std::string> get(const std::string& key, Deadline deadline) override;
  Result<std::int64_t> add(const std::string& key, std::int64_t delta, Deadline deadline) override;

 private:
  std::shared_ptr<Store> store_;
  std::string prefix_;
};

}  // namespace smddp
