#pragma once

#include <rdma/fabric.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "smddp/status.h"

#include "transport/ofi/fid.h"

namespace smddp {

struct InfoDeleter {
  void (*free)(fi_info* info) = nullptr;
  void operator()(fi_info* info) const noexcept { free(info); }
};
/// A list of offers of libfabric's providers.
using InfoPtr = std::unique_ptr<fi_info, InfoDeleter>;

/// libfabric, found when it is first needed: one build serves machines with and without it. What is
/// not here is inline in its headers and goes through the objects that it returns. Thread-safe.
class Library {
 public:
  /// kConfig when the machine has no libfabric, or one that is too old.
  static Result<const Library*> of_process();

  /// Empty hints, to be filled in; its texts are freed with free(3).
  InfoPtr make_hints() const;
  InfoPtr copy_of(const fi_info& info) const;
  /// The offers that fit, best first; null when there is none. `source` is the local address to
  /// use (empty: any).
  InfoPtr find(const fi_info& hints, const std::string& source) const;
  Result<Fid<fid_fabric>> open_fabric(fi_fabric_attr& attributes) const;

  /// What ofi_rxm over tcp carries in one piece.
  static constexpr std::size_t kLongestTcpMessage = std::size_t{16} << 20;

  std::string error_text(int error) const { return strerror_(error < 0 ? -error : error); }
  /// "1.17"
  std::string version() const;

 private:
  Library() = default;
  static Result<const Library*> load();
  static void set_up_tcp();
  Status bind(void* handle);
  void discover_all_providers() const;

  decltype(&::fi_getinfo) getinfo_ = nullptr;
  decltype(&::fi_freeinfo) freeinfo_ = nullptr;
  decltype(&::fi_dupinfo) dupinfo_ = nullptr;
  decltype(&::fi_fabric) fabric_ = nullptr;
  decltype(&::fi_strerror) strerror_ = nullptr;
  decltype(&::fi_version) version_ = nullptr;
};

}  // namespace smddp
