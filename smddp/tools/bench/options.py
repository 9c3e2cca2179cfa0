"""What ``smddp bench`` is asked to do; letters and defaults as in nccl-tests where it has them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "COLLECTIVES",
    "DEVICES",
    "Options",
    "add_arguments",
    "buffers_for",
    "iterations_for",
    "parse_bytes",
    "read_options",
    "sizes_between",
]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "all_to_all")
DEVICES = ("cpu", "cuda")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
#: nccl-tests' names -> ours.
_DTYPES = {"float": "float32", "double": "float64", "half": "float16"}
_OPS = {"prod": "product", "avg": "average"}
_MOST_SIZES = 200
#: Without -n a size is run until about so many bytes have passed, within these bounds.
_BYTES_PER_SIZE = 128 << 20
_FEWEST, _MOST = 8, 400
_ROTATION_BYTES = 128 << 20
_MOST_BUFFERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A benchmark run. Sizes are bytes of the larger buffer of one rank, as in nccl-tests."""

    collectives: tuple[str, ...]
    sizes: tuple[int, ...]
    dtype: str
    op: str
    iterations: int | None
    warmup: int
    check: bool
    registered: bool
    device: str
    ranks: int | None
    compare: tuple[str, ...]
    json: Path | None
    csv: Path | None
    plot: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options of ``smddp bench``."""
    parser.add_argument("collectives", nargs="*", metavar="COLLECTIVE", help=f"{', '.join(COLLECTIVES)}, or all")
    parser.add_argument("-b", "--minbytes", type=_bytes, default=8, metavar="SIZE", help="first size (default 8)")
    parser.add_argument("-e", "--maxbytes", type=_bytes, default=64 << 20, metavar="SIZE", help="last (default 64M)")
    parser.add_argument("-f", "--stepfactor", type=int, default=2, metavar="N", help="between sizes (default 2)")
    parser.add_argument("-n", "--iters", type=int, metavar="N", help="timed calls a size (default: 8 to 400, by size)")
    parser.add_argument("-w", "--warmup_iters", type=int, default=3, metavar="N", help="calls before them (default 3)")
    parser.add_argument("-o", "--op", default="sum", help="sum, prod, min, max, avg, and, or, xor (default sum)")
    parser.add_argument("-d", "--datatype", default="float", help="float, double, half, int32... (default float)")
    parser.add_argument("-c", "--check", type=int, choices=(0, 1), default=1, help="compare all elements (default 1)")
    parser.add_argument(
        "-R", "--local_register", type=int, choices=(0, 1), default=0, help="1: smddp's buffers in registered memory"
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=DEVICES[0],
        help="cuda: tensors of the ranks' GPUs through torch.distributed; ranks share GPUs where there are fewer "
        "(default cpu: NumPy arrays)",
    )
    parser.add_argument("--ranks", type=int, metavar="N", help="start N ranks on this machine; else the launcher did")
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="PEER",
        help="time a library in turns with smddp: gloo, torch (smddp through torch.distributed), or an MPI by its bin "
        "folder, where a python with mpi4py is; may be repeated. With --device cuda: nccl (torch's own backend)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine, limits and rows")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the rows")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw latency and bandwidth against size")


def read_options(words: argparse.Namespace) -> Options:
    """Turn parsed words into options.

    Raises:
        ValueError: a value that cannot be; the message says which and what is possible.
    """
    names = tuple(words.collectives) or ("all_reduce",)
    if "all" in names:
        names = COLLECTIVES
    for name in names:
        if name not in COLLECTIVES:
            msg = f"{name}: no such collective; choose from {', '.join(COLLECTIVES)}, all"
            raise ValueError(msg)
    for letter, value, least in (("-n", words.iters, 1), ("-w", words.warmup_iters, 0), ("--ranks", words.ranks, 1)):
        if value is not None and value < least:
            msg = f"{letter} {value}: expected a number from {least} up"
            raise ValueError(msg)
    return Options(
        collectives=names,
        sizes=sizes_between(words.minbytes, words.maxbytes, words.stepfactor),
        dtype=_DTYPES.get(words.datatype, words.datatype),
        op=_OPS.get(words.op, words.op),
        iterations=words.iters,
        warmup=words.warmup_iters,
        check=bool(words.check),
        registered=bool(words.local_register),
        device=words.device,
        ranks=words.ranks,
        compare=tuple(words.compare),
        json=words.json,
        csv=words.csv,
        plot=words.plot,
    )


def parse_bytes(text: str) -> int:
    """Bytes of "8", "64K", "1M" or "2G" (powers of 1024).

    Raises:
        ValueError: `text` is no such size.
    """
    number = text.rstrip("KMGkmg")
    unit = text[len(number) :].lower()
    if not number.isdecimal() or unit not in _UNITS:
        msg = f"{text!r} is no size: write it like 8, 64K, 1M or 2G"
        raise ValueError(msg)
    return int(number) * _UNITS[unit]


def _bytes(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def sizes_between(first: int, last: int, factor: int) -> tuple[int, ...]:
    """All sizes first * factor**k up to `last`.

    Raises:
        ValueError: there are none, or the steps lead nowhere.
    """
    if first < 1 or last < first:
        msg = f"-b {first} -e {last}: expected 1 <= first <= last"
        raise ValueError(msg)
    if factor < 2 and last > first:
        msg = f"-f {factor}: expected a factor from 2 up"
        raise ValueError(msg)
    sizes = [first]
    while sizes[-1] * factor <= last and len(sizes) < _MOST_SIZES and factor > 1:
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)


def buffers_for(size: int) -> int:
    """How many buffers of that size take turns, so that large messages come from memory and not from the cache."""
    return max(1, min(_MOST_BUFFERS, _ROTATION_BYTES // size))


def iterations_for(options: Options, size: int) -> int:
    """How many calls of that size are timed."""
    return options.iterations or max(_FEWEST, min(_MOST, _BYTES_PER_SIZE // size))
