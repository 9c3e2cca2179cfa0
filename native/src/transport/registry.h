#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "smddp/status.h"
#include "smddp/topology.h"
#include "smddp/transports.h"

#include "transport/transport.h"

namespace smddp {

/// What transport ofi is told.
struct OfiOptions {
  std::string provider;     ///< libfabric's name; empty or "auto": the best there is
  std::optional<bool> rma;  ///< whether to use RMA writes; nothing: where they work
  bool wait = true;  ///< false: sleepers look from time to time even where a descriptor tells
};

/// What a transport may know about the communicator that it serves.
struct TransportContext {
  Rank self = 0;
  std::vector<Rank> labels{};      ///< what messages call the ranks; empty: their numbers
  std::string listen_interface;    ///< IPv4 address to listen on; empty = chosen by the transport
  std::vector<Interface> rails{};  ///< by number; tcp uses them when there are several
  std::size_t stripe_bytes = std::size_t{128} << 10;  ///< what goes over one rail at a time
  std::string tcp_congestion = "auto";                ///< of tcp's streams, see choose_congestion
  std::function<void()>
      wake;  ///< wakes the thread that drives this rank; thread-safe (inproc needs it)
  OfiOptions ofi{};
};

/// Makes a transport, before anything that can fail; null for one that this build leaves out.
using MakeTransport = std::unique_ptr<Transport> (*)(const TransportContext& context);

/// `name` is one of `transport_names()`.
Result<std::unique_ptr<Transport>> make_transport(const std::string& name,
                                                  const TransportContext& context);

}  // namespace smddp
