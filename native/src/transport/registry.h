#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "smddp/status.h"
#include "smddp/topology.h"

#include "transport/transport.h"

namespace smddp {

/// What a transport may know about the communicator that it serves.
struct TransportContext {
  Rank self = 0;
  std::vector<Rank> labels{};      ///< what messages call the ranks; empty: their numbers
  std::string listen_interface;    ///< IPv4 address to listen on; empty = chosen by the transport
  std::vector<Interface> rails{};  ///< by number; tcp uses them when there are several
  std::size_t stripe_bytes = std::size_t{128} << 10;  ///< what goes over one rail at a time
  std::function<void()>
      wake;  ///< wakes the thread that drives this rank; thread-safe (inproc needs it)
};

/// Names that `make_transport` knows, best first.
std::vector<std::string> transport_names();
Result<std::unique_ptr<Transport>> make_transport(const std::string& name,
                                                  const TransportContext& context);

}  // namespace smddp
