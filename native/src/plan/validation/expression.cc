#include "plan/validation/expression.h"

#include <algorithm>
#include <bit>

namespace smddp {

ExpressionTable::Id ExpressionTable::leaf(Rank rank) {
  Node node;
  node.rank = rank;
  node.ranks = std::uint64_t{1} << rank;
  return add(node);
}

ExpressionTable::Id ExpressionTable::combine(Id left, Id right) {
  const Node& a = nodes_[left];
  const Node& b = nodes_[right];
  Node node;
  node.kind = Kind::kSum;
  node.left = left;
  node.right = right;
  node.ranks = a.ranks | b.ranks;
  node.roundings = std::max(a.roundings, b.roundings);
  node.divided = a.divided || b.divided;
  node.counted_twice = a.counted_twice || b.counted_twice || (a.ranks & b.ranks) != 0;
  node.used_after_division = a.used_after_division || b.used_after_division || node.divided;
  return add(node);
}

ExpressionTable::Id ExpressionTable::divide(Id dividend) {
  Node node = nodes_[dividend];
  node.kind = Kind::kQuotient;
  node.left = dividend;
  node.right = kNothing;
  node.used_after_division = node.used_after_division || node.divided;
  node.divided = true;
  return add(node);
}

ExpressionTable::Id ExpressionTable::round(Id exact) {
  Node node = nodes_[exact];
  node.kind = Kind::kRounded;
  node.left = exact;
  node.right = kNothing;
  ++node.roundings;
  return add(node);
}

ExpressionTable::Id ExpressionTable::unrounded(Id id) {
  const Node node = nodes_[id];  // the table may move while it grows
  switch (node.kind) {
    case Kind::kRounded:
      return unrounded(node.left);
    case Kind::kQuotient:
      return divide(unrounded(node.left));
    case Kind::kSum: {
      const Id left = unrounded(node.left);
      return combine(left, unrounded(node.right));
    }
    case Kind::kLeaf:
      break;
  }
  return id;
}

ExpressionTable::Id ExpressionTable::canonical(std::span<const Id> items) {
  if (items.size() == 1) return items[0];
  const std::size_t split = std::bit_floor(items.size() - 1);
  const Id left = canonical(items.first(split));
  return combine(left, canonical(items.subspan(split)));
}

std::string ExpressionTable::fault(Id id) const {
  if (nodes_[id].counted_twice) return "a rank's contribution is counted twice: " + to_string(id);
  if (nodes_[id].used_after_division) return "a value is used after its division: " + to_string(id);
  return {};
}

std::string ExpressionTable::to_string(Id id) const {
  std::string text;
  append(id, text);
  return text;
}

void ExpressionTable::append(Id id, std::string& text) const {
  const Node& node = nodes_[id];
  switch (node.kind) {
    case Kind::kLeaf:
      text += id == kNothing ? "nothing" : "r" + std::to_string(node.rank);
      return;
    case Kind::kQuotient:
    case Kind::kRounded:
      append(node.left, text);
      text += node.kind == Kind::kQuotient ? "/" : "~";
      return;
    case Kind::kSum:
      text += "(";
      append(node.left, text);
      text += " ";
      append(node.right, text);
      text += ")";
      return;
  }
}

ExpressionTable::Id ExpressionTable::add(const Node& node) {
  const auto [entry, is_new] = ids_.try_emplace({node.kind, node.rank, node.left, node.right},
                                                static_cast<Id>(nodes_.size()));
  if (is_new) nodes_.push_back(node);
  return entry->second;
}

}  // namespace smddp
