#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "smddp/types.h"

namespace smddp {

/// How an element came to be: a contribution of one rank, two expressions combined, or one divided.
/// Equal expressions have equal numbers, so "the same bits" is an integer comparison. Worlds up
/// to 64.
class ExpressionTable {
 public:
  using Id = std::uint32_t;
  static constexpr Id kNothing = 0;  ///< memory that nobody wrote

  ExpressionTable() : nodes_(1) {}

  Id leaf(Rank rank);
  Id combine(Id left, Id right);
  Id divide(Id dividend);
  /// The value as a shorter dtype holds it.
  Id round(Id exact);
  /// Balanced binary tree over the index: n items are split at the largest power of two below n.
  Id canonical(std::span<const Id> items);

  std::uint64_t ranks(Id id) const { return nodes_[id].ranks; }  ///< bit r: rank r contributed
  bool is_divided(Id id) const { return nodes_[id].divided; }
  /// The most that lie on the way of a contribution.
  int roundings(Id id) const { return nodes_[id].roundings; }
  /// The same arithmetic, had nothing been rounded.
  Id unrounded(Id id);
  /// Why no correct schedule makes this value: a rank counted twice, or arithmetic after the
  /// division. Empty when nothing is wrong.
  std::string fault(Id id) const;
  /// "((r0 r1)~ (r2 r3)~)/~": the tree, a slash for the division, a tilde for each rounding.
  std::string to_string(Id id) const;

 private:
  enum class Kind : std::uint8_t { kLeaf, kSum, kQuotient, kRounded };
  struct Node {
    Kind kind = Kind::kLeaf;
    Id left = kNothing;   ///< what is divided or rounded
    Id right = kNothing;  ///< of a sum
    Rank rank = -1;
    std::uint64_t ranks = 0;
    int roundings = 0;
    bool divided = false;
    bool counted_twice = false;
    bool used_after_division = false;
  };

  void append(Id id, std::string& text) const;
  Id add(const Node& node);

  std::vector<Node> nodes_;
  std::map<std::tuple<Kind, Rank, Id, Id>, Id> ids_;
};

}  // namespace smddp
