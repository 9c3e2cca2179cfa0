#include "transport/registry.h"

#include <array>
#include <string_view>

#include "transport/inproc/inproc_transport.h"
#include "transport/tcp/tcp_transport.h"

namespace smddp {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Transport> (*make)(const TransportContext& context);
};

// Adding a transport means adding a line here.
constexpr std::array kTransports{
    Entry{"tcp", make_tcp_transport},
    Entry{"inproc", make_inproc_transport},
};

}  // namespace

std::vector<std::string> transport_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kTransports) names.emplace_back(entry.name);
  return names;
}

Result<std::unique_ptr<Transport>> make_transport(const std::string& name,
                                                  const TransportContext& context) {
  std::string known;
  for (const Entry& entry : kTransports) {
    if (entry.name == name) return entry.make(context);
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Status{StatusCode::kConfig,
                "there is no transport '" + name + "'; choose one of: " + known};
}

}  // namespace smddp
