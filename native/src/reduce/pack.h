#pragma once

// Short vectors, in the compiler's vector extension: operators work lane by lane, and a pack of one
// lane serves for the elements left over at the end, so body and tail are the same code.
//
// This header and the others that the kernels are made of (convert.h, elements.h, ops.h, tree.h,
// table.h) are compiled once per instruction set. Everything in them is in an unnamed namespace: a
// function that two object files shared would be merged by the linker, and a machine could run the
// copy made for a better one. For the same reason they call no function of the standard library.
// What must melt into the loops of tree.h is marked always_inline.

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace smddp::reduce {
namespace {  // NOLINT(google-build-namespaces): see above

template <class T, std::size_t kLanes>
struct PackOf {
  // NOLINTNEXTLINE(modernize-use-using): the attribute needs it
  typedef T Type __attribute__((vector_size(sizeof(T) * kLanes)));
};
template <class T, std::size_t kLanes>
using Pack = typename PackOf<T, kLanes>::Type;

template <class P>
using LaneOf = std::remove_cvref_t<decltype(P{}[0])>;
template <class P>
inline constexpr std::size_t kLanesOf = sizeof(P) / sizeof(LaneOf<P>);

/// Any alignment.
template <class P>
[[gnu::always_inline]] inline P load_pack(const std::byte* from) {
  P pack;
  __builtin_memcpy(&pack, from, sizeof(P));
  return pack;
}

template <class P>
[[gnu::always_inline]] inline void store_pack(std::byte* to, P pack) {
  __builtin_memcpy(to, &pack, sizeof(P));
}

/// The same bits seen as lanes of `T`.
template <class T, class P>
[[gnu::always_inline]] inline Pack<T, sizeof(P) / sizeof(T)> bits_as(P pack) {
  return (Pack<T, sizeof(P) / sizeof(T)>)pack;  // a C cast is how vectors are reinterpreted
}

/// The same numbers in lanes of `T`, wider or narrower (modulo 2^bits).
template <class T, class P>
[[gnu::always_inline]] inline Pack<T, kLanesOf<P>> lanes_as(P pack) {
  return __builtin_convertvector(pack, Pack<T, kLanesOf<P>>);
}

/// Calls body(index of the first lane, number of lanes as a type) for whole packs, then for single
/// elements, until `count` elements are done.
template <std::size_t kLanes, class Body>
[[gnu::always_inline]] inline void for_each_pack(std::size_t count, Body body) {
  std::size_t first = 0;
  for (; first + kLanes <= count; first += kLanes) {
    body(first, std::integral_constant<std::size_t, kLanes>{});
  }
  for (; first < count; ++first) body(first, std::integral_constant<std::size_t, 1>{});
}

}  // namespace
}  // namespace smddp::reduce
