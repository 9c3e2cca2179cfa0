#include "transport/ofi/rail_agreement.h"

#include <chrono>

#include "transport/ofi/control.h"

namespace smddp {
namespace {

// For the other rails, once the first has answered; as long as transport tcp tries.
constexpr std::chrono::seconds kPatience{2};

constexpr std::uint64_t bit(std::size_t rail) { return std::uint64_t{1} << rail; }

}  // namespace

void RailAgreement::on_greeting(std::size_t rail) {
  if (rail == 0 && (heard_ & bit(0)) == 0) first_heard_ = Deadline::Clock::now();
  heard_ |= bit(rail);
}

void RailAgreement::on_rails(std::uint64_t rails) {
  if (asks() || agreed_ || (rails & bit(0)) == 0) return;
  link_.keep(rails);
  agreed_ = true;
}

bool RailAgreement::step() {
  for (std::size_t rail = 0; !agreed_ && rail < link_.shared_rails(); ++rail) {
    if (is_due(rail) && link_.greet(rail)) greeted_ |= bit(rail);
  }
  if (!agreed_ && asks() && is_decided()) {
    link_.keep(heard_);
    control_.post_notice(link_.peer(), ControlWord{ControlKind::kRails, heard_}.bytes());
    agreed_ = true;
  }
  return agreed_;
}

bool RailAgreement::is_due(std::size_t rail) const noexcept {
  return (greeted_ & bit(rail)) == 0 && (asks() || (heard_ & bit(rail)) != 0);
}

bool RailAgreement::is_decided() const {
  if ((heard_ & bit(0)) == 0) return false;
  return heard_ + 1 == bit(link_.shared_rails()) ||
         Deadline::Clock::now() - first_heard_ >= kPatience;
}

}  // namespace smddp
