"""What ``smddp simulate`` is asked about."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from smddp.tools.plan.options import add_costs_arguments, argument, parse_size

__all__ = ["Options", "add_simulate_arguments", "read_simulate_options"]

_BUCKETS = (
    "ddp: 25 MiB of whole tensors, as torch's (default); balanced: cut by bytes, larger with more hosts; a SIZE; "
    "best: the fastest of several"
)
_MODELS = "bert-large (default), gpt2-xl, resnet-50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A job, how often it is simulated, and the form of the answer. `batch`: None is the model's own.

    `costs`: a file with those of `transport`, which count instead of the instance's.
    """

    instance: str
    hosts: int
    model: str
    batch: int | None
    dtype: str
    bucket: str | int
    costs: Path | None
    transport: str
    in_flight: int
    samples: int
    seed: int
    json: bool
    svg: Path | None


def add_simulate_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options of ``smddp simulate``."""
    parser.add_argument("--instance", required=True, metavar="TYPE", help="an EC2 instance type with GPUs")
    parser.add_argument("--hosts", type=int, required=True, metavar="N", help="so many of them, at least 2")
    parser.add_argument("--model", default="bert-large", metavar="NAME", help=_MODELS)
    parser.add_argument("--batch", type=int, metavar="N", help="samples of a GPU in a step (default: the model's)")
    parser.add_argument("--dtype", choices=["float16", "bfloat16", "float32"], default="float16", help="gradients")
    parser.add_argument("--bucket", type=argument(_bucket), default="ddp", metavar="HOW", help=_BUCKETS)
    add_costs_arguments(parser)
    parser.add_argument("--in-flight", type=int, default=4, metavar="N", help="buckets on the way at once (default 4)")
    parser.add_argument("--samples", type=int, default=100, metavar="N", help="points of the spreads (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the points (default 1)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it")


def read_simulate_options(words: argparse.Namespace) -> Options:
    """The options from parsed words."""
    return Options(
        instance=words.instance,
        hosts=words.hosts,
        model=words.model,
        batch=words.batch,
        dtype=words.dtype,
        bucket=words.bucket,
        costs=words.costs,
        transport=words.transport,
        in_flight=words.in_flight,
        samples=words.samples,
        seed=words.seed,
        json=words.json,
        svg=words.svg,
    )


def _bucket(text: str) -> str | int:
    return text if text in ("ddp", "balanced", "best") else parse_size(text)
