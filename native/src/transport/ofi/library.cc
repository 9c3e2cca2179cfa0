#include "transport/ofi/library.h"

#include <dlfcn.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "base/find_symbol.h"

namespace smddp {
namespace {

// The API that this code is written for; later libraries speak it too.
constexpr std::uint32_t kApi = FI_VERSION(1, 17);

// The second is where Amazon's installer puts it.
constexpr std::array kNames{"libfabric.so.1", "/opt/amazon/efa/lib64/libfabric.so.1",
                            "/opt/amazon/efa/lib/libfabric.so.1"};

constexpr const char* kFilter = "FI_PROVIDER";

Status not_found(const std::string& why) {
  return {
      StatusCode::kConfig,
      "transport ofi needs libfabric 1.17 or newer at run time: install it (Debian: libfabric1, "
      "EC2: aws-efa-installer), or choose SMDDP_TRANSPORT=auto (" +
          why + ")"};
}

/// Puts signal handlers back as they were. libpsm2, which Debian's libfabric is linked with, takes
/// over these as it is loaded, to write a file with a backtrace before the process ends.
class KeptHandlers {
 public:
  KeptHandlers() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], nullptr, &kept_[i]);
  }
  ~KeptHandlers() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &kept_[i], nullptr);
  }
  KeptHandlers(const KeptHandlers&) = delete;
  KeptHandlers& operator=(const KeptHandlers&) = delete;

 private:
  static constexpr std::array kSignals{SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGINT, SIGTERM};
  std::array<struct sigaction, kSignals.size()> kept_{};
};

}  // namespace

Result<const Library*> Library::of_process() {
  static const Result<const Library*> library = load();
  return library;
}

// Provider tcp would keep the end of a message to itself when its socket is full, and yet report
// the message as sent. ofi_rxm above it would make reads or writes of what is longer than its eager
// limit, and crash (seen with 1.17) when the connection ends in the middle of one: tcp reports an
// error that belongs to no operation, and ofi_rxm looks into the operation.
void Library::set_up_tcp() {
  ::setenv("FI_TCP_STAGING_SBUF_SIZE", "0", 0);
  ::setenv("FI_OFI_RXM_EAGER_LIMIT", std::to_string(kLongestTcpMessage).c_str(), 0);
}

Result<const Library*> Library::load() {
  const KeptHandlers kept_handlers;
  std::string why;
  void* handle = nullptr;
  for (const char* name : kNames) {
    handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) break;
    if (why.empty()) why = ::dlerror();
  }
  if (handle == nullptr) return not_found(why);
  // Never closed: providers leave threads and handlers behind.
  auto* const library = new Library;
  SMDDP_RETURN_IF_ERROR(library->bind(handle));
  if (library->version_() < kApi) return not_found("this one is " + library->version());
  set_up_tcp();
  library->discover_all_providers();
  return library;
}

Status Library::bind(void* handle) {
  const bool complete =
      find_symbol(handle, "fi_getinfo", getinfo_) &&
      find_symbol(handle, "fi_freeinfo", freeinfo_) &&
      find_symbol(handle, "fi_dupinfo", dupinfo_) && find_symbol(handle, "fi_fabric", fabric_) &&
      find_symbol(handle, "fi_strerror", strerror_) && find_symbol(handle, "fi_version", version_);
  return complete ? Status{} : not_found(::dlerror());
}

// libfabric reads FI_PROVIDER once, when it is first asked, and forgets the providers that are not
// in it. SageMaker sets it to efa on every instance, also where there is no EFA. For us it is a
// hint, so it is hidden during that first call. Its value is replaced in place, because other
// threads may read the environment meanwhile.
void Library::discover_all_providers() const {
  const char* const present = std::getenv(kFilter);
  const std::string kept = present == nullptr ? "" : present;
  if (present != nullptr) ::setenv(kFilter, "^sockets", 1);
  fi_info* found = nullptr;
  if (getinfo_(kApi, nullptr, nullptr, 0, nullptr, &found) == 0) freeinfo_(found);
  if (present != nullptr) ::setenv(kFilter, kept.c_str(), 1);
}

InfoPtr Library::make_hints() const { return {dupinfo_(nullptr), InfoDeleter{freeinfo_}}; }

InfoPtr Library::copy_of(const fi_info& info) const {
  return {dupinfo_(&info), InfoDeleter{freeinfo_}};
}

InfoPtr Library::find(const fi_info& hints, const std::string& source) const {
  fi_info* found = nullptr;
  const char* const node = source.empty() ? nullptr : source.c_str();
  const std::uint64_t flags = source.empty() ? 0 : FI_SOURCE;
  if (getinfo_(kApi, node, nullptr, flags, &hints, &found) != 0) found = nullptr;
  return {found, InfoDeleter{freeinfo_}};
}

Result<Fid<fid_fabric>> Library::open_fabric(fi_fabric_attr& attributes) const {
  fid_fabric* fabric = nullptr;
  if (const int error = fabric_(&attributes, &fabric, nullptr); error != 0)
    return Status{StatusCode::kSystem, "libfabric cannot open its fabric: " + error_text(error)};
  return Fid<fid_fabric>{fabric};
}

std::string Library::version() const {
  const std::uint32_t version = version_();
  return std::to_string(FI_MAJOR(version)) + "." + std::to_string(FI_MINOR(version));
}

}  // namespace smddp
