#include "plan/validation/expression.h"

#include <bit>

namespace smddp {

ExpressionTable::Id ExpressionTable::leaf(Rank rank) {
  Node node;
  node.rank = rank;
  node.ranks = std::uint64_t{1} << rank;
  // Leaves are keyed (0, rank): 0 is never the left part of anything.
  return add({kNothing, static_cast<Id>(rank)}, node);
}

ExpressionTable::Id ExpressionTable::combine(Id left, Id right) {
  const Node& a = nodes_[left];
  const Node& b = nodes_[right];
  Node node;
  node.left = left;
  node.right = right;
  node.ranks = a.ranks | b.ranks;
  node.divided = a.divided || b.divided;
  node.counted_twice = a.counted_twice || b.counted_twice || (a.ranks & b.ranks) != 0;
  node.used_after_division = a.used_after_division || b.used_after_division || node.divided;
  return add({left, right}, node);
}

ExpressionTable::Id ExpressionTable::divide(Id dividend) {
  Node node = nodes_[dividend];
  node.left = dividend;
  node.right = kNothing;
  node.used_after_division = node.used_after_division || node.divided;
  node.divided = true;
  return add({dividend, kNothing}, node);
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
  if (id == kNothing) {
    text += "nothing";
  } else if (node.left == kNothing) {
    text += "r";
    text += std::to_string(node.rank);
  } else if (node.right == kNothing) {
    append(node.left, text);
    text += "/";
  } else {
    text += "(";
    append(node.left, text);
    text += " ";
    append(node.right, text);
    text += ")";
  }
}

ExpressionTable::Id ExpressionTable::add(std::pair<Id, Id> key, const Node& node) {
  const auto [entry, is_new] = ids_.try_emplace(key, static_cast<Id>(nodes_.size()));
  if (is_new) nodes_.push_back(node);
  return entry->second;
}

}  // namespace smddp
