#pragma once

#include <optional>
#include <string>
#include <vector>

#include "smddp/status.h"
#include "smddp/topology.h"
#include "smddp/types.h"

#include "transport/ofi/library.h"

namespace smddp {

struct ProviderWish {
  std::string name;  ///< of SMDDP_OFI_PROVIDER; empty or "auto": the best there is
  /// IPv4 texts of the interfaces to use, for providers over IP; empty: any one.
  std::vector<std::string> sources;
  Rank rank = 0;  ///< what the cards nearest to it are chosen by, for other providers
  /// Nothing: RMA where it is offered and works. true: wherever it is offered. false: never.
  std::optional<bool> rma;
};

/// The offers of one provider that can carry a transport, one for each rail and at most kMostRails:
/// reliable datagrams with RMA writes that tell the receiver, else with tagged messages. kConfig
/// says what is missing. FI_PROVIDER moves the providers that it names to the front, but keeps none
/// away. Sources that the provider does not offer are left out, but for the first.
Result<std::vector<InfoPtr>> choose_provider(const Library& library, const ProviderWish& wish);

/// Which of the cards (libfabric's domains, like "rdmap16s27-rdm") a rank uses, by index: on hosts
/// with GPUs those nearest to its own, which is taken to be the GPU number rank modulo their
/// number, as launchers place ranks; else the first ones.
std::vector<std::size_t> cards_of(Rank rank, const std::vector<std::string>& domains,
                                  const HostTopology& host);

/// True when `info` carries long messages by RMA writes.
bool has_rma(const fi_info& info);
/// ofi_rxm over tcp, which must be kept from RMA (library.cc says why).
bool is_rxm_over_tcp(const fi_info& info);

}  // namespace smddp
