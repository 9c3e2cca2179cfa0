#include "transport/ofi/providers.h"

#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "transport/ofi/message.h"

namespace smddp {
namespace {

struct Provider {
  const char* name;       ///< in SMDDP_OFI_PROVIDER
  const char* full_name;  ///< libfabric's
  bool over_ip;           ///< its endpoints are bound to an IP address
};

// Best first. What libfabric 1.17 offers as tcp is tcp;ofi_rxm; from 1.18 on tcp is one of its own.
constexpr Provider kProviders[] = {{"efa", "efa", false},
                                   {"verbs", "verbs;ofi_rxm", true},
                                   {"tcp", "tcp", true},
                                   {"tcp;ofi_rxm", "tcp;ofi_rxm", true}};

// An offer whose messages are shorter has another one beside it that splits them (efa-direct, efa).
constexpr std::size_t kShortestMessage = std::size_t{1} << 20;
// The immediate of a write: transfer and chunk.
constexpr std::size_t kImmediateBytes = 4;

std::string all_names() {
  std::string names = "auto";
  for (const Provider& provider : kProviders) names += std::string(", ") + provider.name;
  return names;
}

InfoPtr hints_for(const Library& library, const Provider& provider, bool rma) {
  InfoPtr hints = library.make_hints();
  hints->caps = FI_MSG | (rma ? FI_RMA : FI_TAGGED);
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->addr_format = provider.over_ip ? FI_SOCKADDR_IN : FI_FORMAT_UNSPEC;
  hints->ep_attr->type = FI_EP_RDM;
  hints->fabric_attr->prov_name = ::strdup(provider.full_name);
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_VIRT_ADDR;
  // Whoever holds the communicator's baton is alone, and drives the provider.
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  return hints;
}

bool is_usable(const fi_info& info) {
  return info.ep_attr->max_msg_size >= kShortestMessage &&
         (!has_rma(info) || info.domain_attr->cq_data_size >= kImmediateBytes);
}

/// One for each of libfabric's domains that can be used from the address.
std::vector<InfoPtr> offers_at(const Library& library, const fi_info& hints,
                               const std::string& source) {
  std::vector<InfoPtr> offers;
  const InfoPtr found = library.find(hints, source);
  for (const fi_info* info = found.get(); info != nullptr; info = info->next) {
    const auto is_same = [&](const InfoPtr& known) {
      return std::strcmp(known->domain_attr->name, info->domain_attr->name) == 0;
    };
    if (is_usable(*info) && std::none_of(offers.begin(), offers.end(), is_same))
      offers.push_back(library.copy_of(*info));
  }
  return offers;
}

/// One for each address; none when there is none for the first.
std::vector<InfoPtr> offers_over_ip(const Library& library, const fi_info& hints,
                                    const std::vector<std::string>& sources) {
  if (sources.empty()) return offers_over_ip(library, hints, {""});
  std::vector<InfoPtr> offers;
  for (const std::string& source : sources) {
    if (offers.size() == kMostRails) break;
    std::vector<InfoPtr> here = offers_at(library, hints, source);
    if (!here.empty()) offers.push_back(std::move(here.front()));
    if (offers.empty()) break;
  }
  return offers;
}

std::vector<InfoPtr> offers_of_cards(const Library& library, const fi_info& hints, Rank rank) {
  std::vector<InfoPtr> all = offers_at(library, hints, "");
  if (all.size() < 2) return all;
  std::vector<std::string> domains;
  for (const InfoPtr& offer : all) domains.emplace_back(offer->domain_attr->name);
  std::vector<InfoPtr> chosen;
  for (const std::size_t card : cards_of(rank, domains, discover_host({})))
    chosen.push_back(std::move(all[card]));
  return chosen;
}

std::vector<InfoPtr> offers_of(const Library& library, const Provider& provider,
                               const ProviderWish& wish, bool rma) {
  const InfoPtr hints = hints_for(library, provider, rma);
  return provider.over_ip ? offers_over_ip(library, *hints, wish.sources)
                          : offers_of_cards(library, *hints, wish.rank);
}

bool is_named_in(const std::string& list, const Provider& provider) {
  const auto has = [&](const std::string& name) {
    return ("," + list + ",").find("," + name + ",") != std::string::npos;
  };
  return has(provider.name) || has(provider.full_name);
}

/// kProviders, those that FI_PROVIDER names first.
std::vector<Provider> preferred() {
  const char* const value = std::getenv("FI_PROVIDER");
  const std::string hint = value == nullptr ? "" : value;
  std::vector<Provider> all;
  for (const bool named : {true, false}) {
    std::copy_if(std::begin(kProviders), std::end(kProviders), std::back_inserter(all),
                 [&](const Provider& provider) { return is_named_in(hint, provider) == named; });
  }
  return all;
}

}  // namespace

bool has_rma(const fi_info& info) { return (info.caps & FI_RMA) != 0; }

bool is_rxm_over_tcp(const fi_info& info) {
  return std::strcmp(info.fabric_attr->prov_name, "tcp;ofi_rxm") == 0;
}

std::vector<std::size_t> cards_of(Rank rank, const std::vector<std::string>& domains,
                                  const HostTopology& host) {
  std::vector<std::size_t> near;
  if (!host.gpus.empty()) {
    const Gpu& gpu = host.gpus[static_cast<std::size_t>(rank) % host.gpus.size()];
    for (const int rail : gpu.rails) {
      const std::string& device = host.rails[static_cast<std::size_t>(rail)].name;
      const auto is_its = [&](const std::string& domain) {
        return domain == device || domain.starts_with(device + "-");
      };
      const auto found = std::find_if(domains.begin(), domains.end(), is_its);
      if (found != domains.end()) near.push_back(static_cast<std::size_t>(found - domains.begin()));
    }
  }
  if (near.empty()) {
    near.resize(domains.size());
    std::iota(near.begin(), near.end(), std::size_t{0});
  }
  near.resize(std::min(near.size(), kMostRails));
  return near;
}

Result<std::vector<InfoPtr>> choose_provider(const Library& library, const ProviderWish& wish) {
  const bool any = wish.name.empty() || wish.name == "auto";
  bool known = any;
  for (const Provider& provider : preferred()) {
    if (!any && provider.name != wish.name) continue;
    known = true;
    for (const bool rma : {true, false}) {
      if (rma && !wish.rma.value_or(true)) continue;
      std::vector<InfoPtr> offers = offers_of(library, provider, wish, rma);
      if (offers.empty()) continue;
      if (!rma || wish.rma.has_value() || !is_rxm_over_tcp(*offers.front())) return offers;
    }
  }
  if (wish.name == "sockets") {
    return Status{
        StatusCode::kConfig,
        "SMDDP_OFI_PROVIDER=sockets: libfabric's sockets provider is deprecated and loses "
        "messages; use tcp"};
  }
  if (!known) {
    return Status{StatusCode::kConfig,
                  "SMDDP_OFI_PROVIDER=" + wish.name + " is none of " + all_names()};
  }
  return Status{StatusCode::kConfig,
                "libfabric " + library.version() + " offers no provider for transport ofi here" +
                    (any ? "" : " under SMDDP_OFI_PROVIDER=" + wish.name) +
                    "; fi_info -t FI_EP_RDM shows what it has, SMDDP_TRANSPORT=auto does without"};
}

}  // namespace smddp
