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

/// Where a result goes: into all `count` of them, at least one, from element `first` on.
struct Targets {
  std::byte* const* data;
  std::size_t count;
  std::size_t first;
};

/// `count` elements of exactly kSources sources. A target may be one of the sources.
template <class Isa, class In, class Out, class Op, std::size_t kSources, class Finish>
void reduce_fused(Sources sources, Targets targets, std::size_t count, Finish finish) {
  constexpr std::size_t kLanes = Isa::kVectorBytes / sizeof(typename In::Computed);
  // Copies, because the stores below could, for all the compiler knows, change the caller's.
  const std::byte* begin[kSources];
  for (std::size_t k = 0; k < kSources; ++k) {
    begin[k] = sources.data[k] + sources.first * sizeof(typename In::Stored);
  }
  std::byte* to[kMostTargets];
  for (std::size_t k = 0; k < targets.count; ++k) {
    to[k] = targets.data[k] + targets.first * sizeof(typename Out::Stored);
  }
  for_each_pack<kLanes>(count, [&](std::size_t i, auto lanes) __attribute__((always_inline)) {
    auto value =
        tree_of_packs<Isa, In, Op, kSources, lanes>(begin, i * sizeof(typename In::Stored));
    const auto result = Out::template as_stored<Isa>(finish(value));
    // Storing to all at once rather than copying afterwards: the next sources are already on their
    // way from memory meanwhile.
    std::size_t k = 0;
    do {
      store_pack(to[k] + i * sizeof(typename Out::Stored), result);
    } while (++k < targets.count);
  });
}

/// As above, for any number of sources that is_fused().
template <class Isa, class In, class Out, class Op, class Finish>
void reduce_in_one_pass(Sources sources, Targets targets, std::size_t count, Finish finish) {
  switch (sources.count) {
    case 1:
      return reduce_fused<Isa, In, Out, Op, 1>(sources, targets, count, finish);
    case 2:
      return reduce_fused<Isa, In, Out, Op, 2>(sources, targets, count, finish);
    case 3:
      return reduce_fused<Isa, In, Out, Op, 3>(sources, targets, count, finish);
    case 4:
      return reduce_fused<Isa, In, Out, Op, 4>(sources, targets, count, finish);
    default:
      return reduce_fused<Isa, In, Out, Op, 8>(sources, targets, count, finish);
  }
}

/// What inner nodes of the tree hold.
template <class Element>
using PartialOf = Plain<typename Element::Computed>;

/// At most one block of elements. A target may be a source: all are read before it is written.
template <class Isa, class Element, class Out, class Op, class Finish>
void reduce_block(Sources sources, Targets targets, std::size_t count, Finish finish) {
  using Partial = PartialOf<Element>;
  if (is_fused(sources.count)) {
    return reduce_in_one_pass<Isa, Element, Out, Op>(sources, targets, count, finish);
  }
  const std::size_t left = left_sources(sources.count);
  alignas(Isa::kVectorBytes) std::byte left_half[kBlockBytes];
  alignas(Isa::kVectorBytes) std::byte right_half[kBlockBytes];
  std::byte* const halves[] = {left_half, right_half};
  reduce_block<Isa, Element, Partial, Op>({sources.data, left, sources.first}, {halves, 1, 0},
                                          count, AsItIs{});
  reduce_block<Isa, Element, Partial, Op>(
      {sources.data + left, sources.count - left, sources.first}, {halves + 1, 1, 0}, count,
      AsItIs{});
  reduce_fused<Isa, Partial, Out, Op, 2>({halves, 2, 0}, targets, count, finish);
}

template <class Isa, class In, class Out, class Op, class Finish>
void reduce_all(const KernelArgs& args, Finish finish) {
  const Sources sources = {args.sources, args.source_count, 0};
  if (is_fused(sources.count)) {
    return reduce_in_one_pass<Isa, In, Out, Op>(sources, {args.targets, args.target_count, 0},
                                                args.count, finish);
  }
  constexpr std::size_t kBlockElements = kBlockBytes / sizeof(typename In::Computed);
  for (std::size_t first = 0; first < args.count; first += kBlockElements) {
    const std::size_t rest = args.count - first;
    const std::size_t count = rest < kBlockElements ? rest : kBlockElements;
    reduce_block<Isa, In, Out, Op>({sources.data, sources.count, first},
                                   {args.targets, args.target_count, first}, count, finish);
  }
}

/// As above, and each result divided: in a pass of its own over blocks that the cache still holds,
/// as a division takes far longer than that pass, and its code, melted into every loop above, is
/// most of what there is to compile.
template <class Isa, class Element, class Op>
void reduce_and_divide(const KernelArgs& args) {
  constexpr std::size_t kBlockElements = kBlockBytes / sizeof(typename Element::Computed);
  for (std::size_t first = 0; first < args.count; first += kBlockElements) {
    const std::size_t rest = args.count - first;
    const std::size_t count = rest < kBlockElements ? rest : kBlockElements;
    reduce_block<Isa, Element, Element, Op>({args.sources, args.source_count, first},
                                            {args.targets, 1, first}, count, AsItIs{});
    reduce_fused<Isa, Element, Element, Op, 1>({args.targets, 1, first},
                                               {args.targets, args.target_count, first}, count,
                                               Divided{args.divisor});
  }
}

template <class Isa, class In, class Out, class Op>
void reduce_kernel(const KernelArgs& args) {
  if constexpr (Op::kDividable) {
    if (args.divisor > 1) {
      if constexpr (std::is_integral_v<typename In::Computed>) {
        return reduce_and_divide<Isa, In, Op>(args);
      } else if (is_power_of_two(args.divisor)) {
        return reduce_all<Isa, In, Out, Op>(args, Scaled{1.0 / args.divisor});
      } else {
        return reduce_all<Isa, In, Out, Op>(args, Divided{args.divisor});
      }
    }
  }
  reduce_all<Isa, In, Out, Op>(args, AsItIs{});
}

}  // namespace
}  // namespace smddp::reduce
