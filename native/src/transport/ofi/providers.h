#pragma once

#include <optional>
#include <string>

#include "smddp/status.h"

#include "transport/ofi/library.h"

namespace smddp {

struct ProviderWish {
  std::string name;    ///< of SMDDP_OFI_PROVIDER; empty or "auto": the best there is
  std::string source;  ///< IPv4 text of the interface to use, for providers over IP
  /// Nothing: RMA where it is offered and works. true: wherever it is offered. false: never.
  std::optional<bool> rma;
};

/// The offer of one provider that can carry a transport: reliable datagrams with RMA writes that
/// tell the receiver, else with tagged messages. kConfig says what is missing. FI_PROVIDER moves
/// the providers that it names to the front, but keeps none away.
Result<InfoPtr> choose_provider(const Library& library, const ProviderWish& wish);

/// True when `info` carries long messages by RMA writes.
bool has_rma(const fi_info& info);
/// ofi_rxm over tcp, which must be kept from RMA (library.cc says why).
bool is_rxm_over_tcp(const fi_info& info);

}  // namespace smddp
