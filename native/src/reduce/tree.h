#pragma once

// The canonical tree over the sources, evaluated block by block.

#include "reduce/dispatch.h"
#include "reduce/elements.h"
#include "reduce/ops.h"

namespace smddp::reduce {
namespace {  // NOLINT(google-build-namespaces): see pack.h

/// Bytes of one partial result. The blocks of a tree of n sources, 2 for each level above the fused
/// passes, should stay in the first-level cache: 16 KiB up to 16 sources, 32 KiB up to 32.
inline constexpr std::size_t kBlockBytes = 8192;

/// Whether a tree of so many sources is one pass that combines them in registers.
constexpr bool is_fused(std::size_t sources) { return sources <= 4 || sources == 8; }

/// Sources left of the root: the largest power of two below `count` (which is at least 2).
constexpr std::size_t left_sources(std::size_t count) {
  std::size_t left = 1;
  while (left * 2 < count) left *= 2;
  return left;
}

/// The tree over kSources packs, the k-th of them at sources[k] + offset.
template <class Isa, class In, class Op, std::size_t kSources, std::size_t kLanes>
[[gnu::always_inline]] inline auto tree_of_packs(const std::byte* const* sources,
                                                 std::size_t offset) {
  if constexpr (kSources == 1) {
    return In::template load<Isa, kLanes>(sources[0] + offset);
  } else {
    constexpr std::size_t kLeft = left_sources(kSources);
    auto left = tree_of_packs<Isa, In, Op, kLeft, kLanes>(sources, offset);
    auto right = tree_of_packs<Isa, In, Op, kSources - kLeft, kLanes>(sources + kLeft, offset);
    return Op::apply(left, right);
  }
}

/// A run of the sources: `count` of them, of which the elements from `first` on are meant.
struct Sources {
  const std::byte* const* data;
  std::size_t count;
  std::size_t first;
};

/// `count` elements of exactly kSources sources into `out`, which may be one of them.
template <class Isa, class In, class Out, class Op, std::size_t kSources>
void reduce_fused(Sources sources, std::byte* out, std::size_t count) {
  constexpr std::size_t kLanes = Isa::kVectorBytes / sizeof(typename In::Computed);
  // A copy, because the stores below could, for all the compiler knows, change the caller's.
  const std::byte* begin[kSources];
  for (std::size_t k = 0; k < kSources; ++k) {
    begin[k] = sources.data[k] + sources.first * sizeof(typename In::Stored);
  }
  for_each_pack<kLanes>(count, [&](std::size_t i, auto lanes) __attribute__((always_inline)) {
    auto value =
        tree_of_packs<Isa, In, Op, kSources, lanes>(begin, i * sizeof(typename In::Stored));
    Out::template store<Isa>(out + i * sizeof(typename Out::Stored), value);
  });
}

/// As above, for any number of sources that is_fused().
template <class Isa, class In, class Out, class Op>
void reduce_in_one_pass(Sources sources, std::byte* out, std::size_t count) {
  switch (sources.count) {
    case 1:
      return reduce_fused<Isa, In, Out, Op, 1>(sources, out, count);
    case 2:
      return reduce_fused<Isa, In, Out, Op, 2>(sources, out, count);
    case 3:
      return reduce_fused<Isa, In, Out, Op, 3>(sources, out, count);
    case 4:
      return reduce_fused<Isa, In, Out, Op, 4>(sources, out, count);
    default:
      return reduce_fused<Isa, In, Out, Op, 8>(sources, out, count);
  }
}

/// What inner nodes of the tree hold.
template <class Element>
using PartialOf = Plain<typename Element::Computed>;

/// At most one block of elements. `out` may be a source: all are read before it is written.
template <class Isa, class Element, class Out, class Op>
void reduce_block(Sources sources, std::byte* out, std::size_t count) {
  using Partial = PartialOf<Element>;
  if (is_fused(sources.count)) {
    return reduce_in_one_pass<Isa, Element, Out, Op>(sources, out, count);
  }
  const std::size_t left = left_sources(sources.count);
  alignas(Isa::kVectorBytes) std::byte left_half[kBlockBytes];
  alignas(Isa::kVectorBytes) std::byte right_half[kBlockBytes];
  reduce_block<Isa, Element, Partial, Op>({sources.data, left, sources.first}, left_half, count);
  reduce_block<Isa, Element, Partial, Op>(
      {sources.data + left, sources.count - left, sources.first}, right_half, count);
  const std::byte* const halves[] = {left_half, right_half};
  reduce_fused<Isa, Partial, Out, Op, 2>({halves, 2, 0}, out, count);
}

/// A block of partial results, divided, into `out` as elements.
template <class Isa, class Element>
void divide_block(const std::byte* block, int divisor, std::byte* out, std::size_t count) {
  using Computed = typename Element::Computed;
  for_each_pack<Isa::kVectorBytes / sizeof(Computed)>(
      count, [&](std::size_t i, auto lanes) __attribute__((always_inline)) {
        auto value = load_pack<Pack<Computed, lanes>>(block + i * sizeof(Computed));
        Element::template store<Isa>(out + i * sizeof(typename Element::Stored),
                                     divided(value, divisor));
      });
}

template <class Isa, class Element, class Op>
void reduce_by_blocks(const KernelArgs& args) {
  constexpr std::size_t kBlockElements = kBlockBytes / sizeof(typename Element::Computed);
  alignas(Isa::kVectorBytes) std::byte result[kBlockBytes];
  for (std::size_t first = 0; first < args.count; first += kBlockElements) {
    const std::size_t rest = args.count - first;
    const std::size_t count = rest < kBlockElements ? rest : kBlockElements;
    const Sources sources = {args.sources, args.source_count, first};
    std::byte* const out = args.target + first * sizeof(typename Element::Stored);
    if (args.divisor > 1) {
      reduce_block<Isa, Element, PartialOf<Element>, Op>(sources, result, count);
      divide_block<Isa, Element>(result, args.divisor, out, count);
    } else {
      reduce_block<Isa, Element, Element, Op>(sources, out, count);
    }
  }
}

template <class Isa, class Element, class Op>
void reduce_kernel(const KernelArgs& args) {
  if (is_fused(args.source_count) && args.divisor <= 1) {
    reduce_in_one_pass<Isa, Element, Element, Op>({args.sources, args.source_count, 0}, args.target,
                                                  args.count);
  } else {
    reduce_by_blocks<Isa, Element, Op>(args);
  }
}

}  // namespace
}  // namespace smddp::reduce
