#include "transport/registry.h"

#include <array>
#include <string_view>

#include "transport/inproc/inproc_transport.h"
#include "transport/ofi/ofi_transport.h"
#include "transport/tcp/tcp_transport.h"

namespace smddp {
namespace {

struct Entry {
  std::string_view name;
  MakeTransport make;
};

// Adding a transport means adding a line here.
auto entries() {
  return std::array{
      Entry{"tcp", make_tcp_transport},
      Entry{"ofi", kMakeOfiTransport},
      Entry{"inproc", make_inproc_transport},
  };
}

}  // namespace

std::vector<std::string> transport_names() {
  std::vector<std::string> names;
  for (const Entry& entry : entries()) {
    if (entry.make != nullptr) names.emplace_back(entry.name);
  }
  return names;
}

Result<std::unique_ptr<Transport>> make_transport(const std::string& name,
                                                  const TransportContext& context) {
  std::string known;
  for (const Entry& entry : entries()) {
    if (entry.name != name) {
      known += (known.empty() ? "" : ", ") + std::string(entry.name);
    } else if (entry.make != nullptr) {
      return entry.make(context);
    } else {
      return Status{
          StatusCode::kConfig,
          "this build of smddp has no transport '" + name +
              "', because its headers were not installed (Debian: libfabric-dev); install "
              "them and build again, or choose another transport"};
    }
  }
  return Status{StatusCode::kConfig,
                "there is no transport '" + name + "'; choose one of: " + known};
}

}  // namespace smddp
