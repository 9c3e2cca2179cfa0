"""Single collective calls: what goes in on each rank, and what must come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from smddp import _core
from smddp.registered import empty_registered

from support.oracle import DTYPES, MOVED_ONLY, OPS, Array, Placement, is_defined, random_values, reduced, storage

__all__ = [
    "BLOCKWISE",
    "CHUNK_BYTES",
    "COLLECTIVES",
    "Buffers",
    "Case",
    "Play",
    "Values",
    "buffers_of",
    "cases_of",
    "order_cases",
    "partial_cases",
    "submit",
]

#: Shared-memory staging in these worlds: small, so that small arrays already take many rounds.
CHUNK_BYTES = 4096
#: Nothing, one, odd, one chunk, several chunks, and enough for the engine to divide the work (over 32 KiB).
COUNTS = (0, 1, 37, 1024, 4097, 10007)
REDUCING = ("all_reduce", "reduce_scatter", "reduce")
COLLECTIVES = ("barrier", "broadcast", "all_gather", "all_to_all", "gather", "scatter", *REDUCING)
ROOTED = ("broadcast", "reduce", "gather", "scatter")
#: Those with a block for each rank.
BLOCKWISE = ("all_gather", "reduce_scatter", "all_to_all", "gather", "scatter")

#: Elements around every array that nothing may touch. Odd, so that arrays start at every possible alignment.
GUARD = 7
GUARD_BYTE = 0xA5

_OPS = {name: getattr(_core.ReduceOp, f"bitwise_{name}" if name in ("and", "or", "xor") else name) for name in OPS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One collective call as all ranks make it. Empty `counts` mean `count` elements for every rank."""

    collective: str
    dtype: str = "float32"
    op: str = "sum"
    root: int = 0
    count: int = 0
    counts: tuple[int, ...] = ()
    in_place: bool = False
    synchronous: bool = True


@dataclass(frozen=True, slots=True)
class Play:
    """A case and its result on each rank."""

    case: Case
    expected: list[Array]

    def check(self, buffers: Buffers, rank: int) -> None:
        """Raises AssertionError unless the rank got its result and nothing else changed."""
        problem = problem_of(buffers, self.expected[rank])
        assert problem is None, f"rank {rank}: {self.case}: {problem}"


class Values:
    """The contributions of all ranks: random, different on each rank, and the same in every run of one seed."""

    def __init__(self, world: int, seed: int) -> None:
        self.world = world
        self._seed = seed
        self._pools: dict[tuple[str, int], Array] = {}

    def of(self, case: Case, rank: int) -> Array:
        """What `rank` brings to the case."""
        count = self._brought(case, rank)
        pool = self._pool(case.dtype, rank, count)
        return pool[:count]

    def _brought(self, case: Case, rank: int) -> int:
        if case.collective == "all_to_all":
            return sum(exchanged(case, self.world)[rank])
        if case.collective == "reduce_scatter":
            return sum(blocks(case, self.world))
        if case.collective in ("all_gather", "gather"):
            return blocks(case, self.world)[rank]
        if case.collective == "scatter":
            return sum(blocks(case, self.world)) if rank == case.root else 0
        return case.count

    def _pool(self, dtype: str, rank: int, count: int) -> Array:
        pool = self._pools.get((dtype, rank))
        if pool is None or len(pool) < count:
            generator = np.random.default_rng((self._seed, rank, (*DTYPES, *MOVED_ONLY).index(dtype)))
            pool = self._pools[dtype, rank] = random_values(dtype, max(count, COUNTS[-1]), generator)
        return pool

    def plays(self, cases: Sequence[Case], placement: Placement, partials: str = "native") -> list[Play]:
        """The cases with their results."""
        return [Play(case, self.expected(case, placement, partials)) for case in cases]

    def expected(self, case: Case, placement: Placement, partials: str = "native") -> list[Array]:
        """The result on each rank. Empty where a rank gets none."""
        brought = [self.of(case, rank) for rank in range(self.world)]
        nothing = np.empty(0, storage(case.dtype))
        match case.collective:
            case "all_reduce":
                return [reduced(case.dtype, case.op, brought, placement, partials)] * self.world
            case "reduce":
                whole = reduced(case.dtype, case.op, brought, placement, partials)
                return [whole if rank == case.root else nothing for rank in range(self.world)]
            case "reduce_scatter":
                whole = reduced(case.dtype, case.op, brought, placement, partials)
                return cut(whole, blocks(case, self.world))
            case "all_gather":
                return [np.concatenate(brought)] * self.world
            case "gather":
                whole = np.concatenate(brought)
                return [whole if rank == case.root else nothing for rank in range(self.world)]
            case "scatter":
                return cut(brought[case.root], blocks(case, self.world))
            case "broadcast":
                return [brought[case.root]] * self.world
            case "all_to_all":
                parts = [cut(*pair) for pair in zip(brought, exchanged(case, self.world), strict=True)]
                return [np.concatenate([sent[rank] for sent in parts]) for rank in range(self.world)]
        return [nothing] * self.world


def cut(array: Array, counts: Sequence[int]) -> list[Array]:
    """The array in pieces of these sizes."""
    return np.split(array, np.cumsum(counts)[:-1])


def blocks(case: Case, world: int) -> tuple[int, ...]:
    """Elements of each rank's block."""
    return case.counts or (case.count,) * world


def exchanged(case: Case, world: int) -> list[list[int]]:
    """Elements that row number r sends to each rank. Uneven where the case has counts, with empty blocks too."""
    if not case.counts:
        return [[case.count] * world] * world
    return [[case.counts[(sender + 2 * receiver) % world] for receiver in range(world)] for sender in range(world)]


@dataclass(slots=True)
class Buffers:
    """The memory of one rank's call: the whole guarded blocks, and the views in them that are passed."""

    source: Array
    target: Array
    blocks: list[Array]
    untouched: list[Array]  # the blocks' bytes where nothing may be written, as they were
    masks: list[Array]


def buffers_of(case: Case, values: Values, rank: int, *, registered: bool = False) -> Buffers:
    """Guarded memory of one rank: its contribution, and room for its result (the same memory when in place)."""
    brought = values.of(case, rank)
    # Who is not the root of a gather or scatter has one of the two arrays alone.
    apart = case.collective in ("gather", "scatter") and rank != case.root
    if case.in_place and not apart:
        return _shared_block(case, values.world, rank, brought, registered)
    target_count = result_count(case, values.world, rank)
    source_block, source = _guarded(brought, registered)
    target_block, target = _guarded(np.empty(target_count, storage(case.dtype)), registered)
    return _watched(source, target, [source_block, target_block])


def result_count(case: Case, world: int, rank: int) -> int:
    """Elements that the rank gets."""
    match case.collective:
        case "all_gather":
            return sum(blocks(case, world))
        case "gather":
            return sum(blocks(case, world)) if rank == case.root else 0
        case "reduce_scatter" | "scatter":
            return blocks(case, world)[rank]
        case "all_to_all":
            return sum(sent[rank] for sent in exchanged(case, world))
        case "reduce":
            return case.count if rank == case.root else 0
    return case.count


def _shared_block(case: Case, world: int, rank: int, brought: Array, registered: bool) -> Buffers:
    if case.collective in ("all_reduce", "broadcast", "reduce"):
        block, both = _guarded(brought, registered)
        writes = case.collective != "reduce" or rank == case.root
        return _watched(both, both if writes else both[:0], [block])
    sizes = blocks(case, world)
    start = sum(sizes[:rank])
    own = slice(start, start + sizes[rank])
    if case.collective in ("reduce_scatter", "scatter"):
        block, source = _guarded(brought, registered)
        return _watched(source, source[own], [block])
    block, target = _guarded(np.zeros(sum(sizes), storage(case.dtype)), registered)
    target[own] = brought
    return _watched(target[own], target, [block])


def _guarded(content: Array, registered: bool) -> tuple[Array, Array]:
    allocate = empty_registered if registered else np.empty
    memory = allocate((len(content) + 2 * GUARD) * content.itemsize, np.uint8)
    memory.fill(GUARD_BYTE)
    block = memory.view(content.dtype)
    inner = block[GUARD : GUARD + len(content)]
    inner[:] = content
    return block, inner


def _watched(source: Array, target: Array, memory: list[Array]) -> Buffers:
    bytes_of = [block.view(np.uint8) for block in memory]
    masks = [np.ones(len(view), bool) for view in bytes_of]
    for view, mask in zip(bytes_of, masks, strict=True):
        start = target.ctypes.data - view.ctypes.data
        if target.size and 0 <= start < len(view):
            mask[start : start + target.nbytes] = False
    untouched = [view[mask] for view, mask in zip(bytes_of, masks, strict=True)]
    return Buffers(source=source, target=target, blocks=bytes_of, untouched=untouched, masks=masks)


def submit(communicator: _core.Communicator, case: Case, buffers: Buffers) -> _core.Work:
    """Starts the call on this rank."""
    request = _core.Request()
    request.collective = getattr(_core.Collective, case.collective)
    request.dtype = getattr(_core.DType, case.dtype)
    request.op = _OPS[case.op]
    request.root = case.root
    request.count = case.count
    request.synchronous = case.synchronous
    if case.collective == "all_to_all" and case.counts:
        sent = exchanged(case, communicator.world)
        request.send_counts = sent[communicator.rank]
        request.counts = [row[communicator.rank] for row in sent]
    else:
        request.counts = list(case.counts)
    source, target = buffers.source, buffers.target
    # The root may leave its input out: then the output is what is sent.
    implied = case.collective == "broadcast" and case.in_place
    return communicator.submit(
        request,
        source.ctypes.data if source.size and not implied else 0,
        target.ctypes.data if target.size else 0,
        (source, target),
    )


def problem_of(buffers: Buffers, expected: Array) -> str | None:
    """What is wrong with the outcome, if anything."""
    got = buffers.target
    if got.tobytes() != expected.tobytes():
        wrong = np.flatnonzero(got.view(np.uint8) != expected.view(np.uint8)) // got.itemsize
        first = int(wrong[0])
        return f"{len(set(wrong))} of {len(got)} wrong, first [{first}]: {got[first]!r}, not {expected[first]!r}"
    for view, mask, before in zip(buffers.blocks, buffers.masks, buffers.untouched, strict=True):
        if not np.array_equal(view[mask], before):
            return "memory outside the result was written"
    return None


def cases_of(collective: str, world: int) -> list[Case]:
    """The cases of one collective: every dtype with every operation, and every size in every manner of calling."""
    if collective == "barrier":
        return [Case(collective="barrier", synchronous=synchronous) for synchronous in (True, False, True, True, False)]
    return [*_types(collective, world), *_sizes(collective, world)]


def order_cases(dtype: str, count: int) -> list[Case]:
    """Cases whose results show in which order was added; for worlds of more than 5."""
    return [
        Case(collective=collective, dtype=dtype, op=op, root=5, count=count)
        for collective in ("all_reduce", "reduce", "reduce_scatter")
        for op in ("sum", "product", "average")
    ]


def partial_cases(dtype: str, world: int) -> Iterator[Case]:
    """Sums, averages and products of a 16-bit float: every size, root and manner of calling."""
    number = 0
    for collective in REDUCING:
        roots = range(world) if collective in ROOTED else (0,)
        layouts: list[tuple[int, tuple[int, ...]]] = [(count, ()) for count in COUNTS]
        if collective in BLOCKWISE:
            layouts = [(count, ()) for count in COUNTS[:-2]] + [(0, counts) for counts in _uneven(world)]
        for root in roots:
            for count, counts in layouts:
                number += 1
                yield Case(
                    collective=collective,
                    dtype=dtype,
                    op=("sum", "average", "product", "max")[number % 4],
                    root=root,
                    count=count,
                    counts=counts,
                    in_place=number % 2 == 1,
                    synchronous=number % 3 != 0,
                )


def _types(collective: str, world: int) -> Iterator[Case]:
    if collective in REDUCING:
        kinds = [(dtype, op) for dtype in DTYPES for op in OPS if is_defined(op, dtype)]
    else:
        kinds = [(dtype, "sum") for dtype in (*DTYPES, *MOVED_ONLY)]
    for number, (dtype, op) in enumerate(kinds):
        yield Case(
            collective=collective,
            dtype=dtype,
            op=op,
            root=number % world if collective in ROOTED else 0,
            count=(37, 130, 515)[number % 3],
            in_place=collective != "all_to_all" and number % 2 == 1,
            synchronous=number % 4 < 2,
        )


def _sizes(collective: str, world: int) -> Iterator[Case]:
    roots = range(world) if collective in ROOTED else (0,)
    manners = [(synchronous, in_place) for synchronous in (True, False) for in_place in (False, True)]
    layouts: list[tuple[int, tuple[int, ...]]] = [(count, ()) for count in COUNTS]
    if collective in BLOCKWISE:
        layouts = [(count, ()) for count in COUNTS[:-2]] + [(0, counts) for counts in _uneven(world)]
    number = 0
    for root in roots:
        for count, counts in layouts:
            for synchronous, in_place in manners:
                if in_place and collective == "all_to_all":
                    continue
                number += 1
                yield Case(
                    collective=collective,
                    dtype=("float32", "float16", "int8", "float64")[number % 4],
                    op=("sum", "average", "max")[number % 3],
                    root=root,
                    count=count,
                    counts=counts,
                    in_place=in_place,
                    synchronous=synchronous,
                )


def _uneven(world: int) -> Iterator[tuple[int, ...]]:
    yield tuple(range(1, world + 1))
    yield tuple((29 * rank) % 83 if rank % 3 != 1 else 0 for rank in range(world))
    yield tuple(5003 if rank == world - 1 else 0 for rank in range(world))
