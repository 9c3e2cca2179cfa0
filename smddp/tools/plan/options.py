"""What ``smddp plan`` is asked about."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from smddp.costs.files import TRANSPORTS
from smddp.tools.bench.options import parse_bytes

__all__ = ["Options", "add_costs_arguments", "add_plan_arguments", "argument", "parse_size", "read_plan_options"]

_RATES = {"kbit": 1e-6, "mbit": 1e-3, "gbit": 1.0}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A collective, the hosts (`gbps`: of their rail; else of `instance` or `file`), and the form of the answer.

    `costs`: a file with those of `transport`.
    """

    collective: str
    nbytes: int
    dtype: str
    op: str
    root: int
    order: str
    partials: str
    instance: str | None
    file: Path | None
    gbps: float | None
    costs: Path | None
    transport: str
    hosts: int | None
    ranks_per_host: tuple[int, ...] | None
    explain: bool
    json: bool
    svg: Path | None


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options of ``smddp plan``."""
    parser.add_argument("--collective", default="all_reduce", metavar="NAME", help="default: all_reduce")
    size = argument(parse_size)
    parser.add_argument("--bytes", type=size, default=25 << 20, metavar="SIZE", help="of the vector (default 25MiB)")
    parser.add_argument("--dtype", default="float32", help="default: float32")
    parser.add_argument("--op", default="sum", help="default: sum")
    parser.add_argument("--root", type=int, default=0, metavar="RANK", help="of broadcast, reduce, gather, scatter")
    parser.add_argument("--order", choices=["canonical", "any"], default="canonical", help="as SMDDP_ORDER")
    parser.add_argument("--partials", choices=["native", "fp32"], default="native", help="as SMDDP_PARTIALS")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--instance", metavar="TYPE", help="an EC2 instance type of the catalogue")
    source.add_argument("--topology", type=Path, metavar="FILE", help="a TOML file (docs/topology.md)")
    source.add_argument("--rate", type=argument(_rate), help="hosts with one rail of this rate, as in 10gbit")
    add_costs_arguments(parser)
    parser.add_argument("--hosts", type=int, metavar="N", help="so many hosts that are alike (default 2)")
    ranks = "ranks on each, or on one after the other (default 1)"
    parser.add_argument("--ranks-per-host", type=argument(_counts), metavar="N[,N...]", help=ranks)
    parser.add_argument("--explain", action="store_true", help="show all algorithms, and why some may not be used")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the steps of the plan chosen, by rank")


def add_costs_arguments(parser: argparse.ArgumentParser) -> None:
    """Define --costs and --transport, of which `smddp.tools.plan.costs` makes costs."""
    parser.add_argument("--costs", type=Path, metavar="FILE", help="as SMDDP_COSTS (docs/tuning.md)")
    parser.add_argument("--transport", choices=TRANSPORTS, default="tcp", help="whose costs (default tcp)")


def read_plan_options(words: argparse.Namespace) -> Options:
    """The options from parsed words."""
    return Options(
        collective=words.collective,
        nbytes=words.bytes,
        dtype=words.dtype,
        op=words.op,
        root=words.root,
        order=words.order,
        partials=words.partials,
        instance=words.instance,
        file=words.topology,
        gbps=words.rate,
        costs=words.costs,
        transport=words.transport,
        hosts=words.hosts,
        ranks_per_host=words.ranks_per_host,
        explain=words.explain,
        json=words.json,
        svg=words.svg,
    )


def argument(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """`parse` with its ValueErrors as argparse shows them."""

    def checked(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return checked


def parse_size(text: str) -> int:
    """Bytes of "8", "64K", "25MiB"; raises ValueError."""
    return parse_bytes(re.sub(r"(?<=[KMGkmg])i?[Bb]$", "", text))


def _rate(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(kbit|mbit|gbit)", text.lower())
    if found is None or float(found[1]) == 0:
        msg = f"{text!r} is no rate; write it like 200mbit or 10gbit"
        raise ValueError(msg)
    return float(found[1]) * _RATES[found[2]]


def _counts(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        msg = f"{text!r} is no number of ranks; write it like 8, or 2,1,4 for three hosts"
        raise ValueError(msg)
    return tuple(map(int, words))
