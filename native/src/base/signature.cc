#include "base/signature.h"

namespace smddp {
namespace {

bool reduces(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduce ||
         collective == Collective::kReduceScatter;
}

}  // namespace

std::string describe(const Signature& signature) {
  std::string text{name_of(signature.collective)};
  text += " #" + std::to_string(signature.sequence);
  if (signature.collective == Collective::kBarrier) return text;
  text += " (" + std::string{name_of(signature.dtype)};
  if (signature.collective != Collective::kAllToAll) {
    text +=
        ", " + std::to_string(signature.count) + (signature.count == 1 ? " element" : " elements");
  }
  if (signature.counts_hash != 0) {
    text += " in uneven parts [" + std::to_string(signature.counts_hash % 100000) + "]";
  }
  if (reduces(signature.collective)) text += ", " + std::string{name_of(signature.op)};
  if (signature.root >= 0) text += ", root " + std::to_string(signature.root);
  return text + ")";
}

}  // namespace smddp
