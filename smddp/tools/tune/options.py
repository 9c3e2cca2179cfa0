"""What ``smddp tune`` is asked to do."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from smddp.errors import SMDDPArgumentError

__all__ = ["Options", "add_tune_arguments", "read_tune_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long to measure (`seconds` in all, about), how often each, and where the costs go."""

    output: Path
    force: bool
    rounds: int
    seconds: float


def add_tune_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options of ``smddp tune``."""
    path = "the file that rank 0 writes (default costs.toml)"
    parser.add_argument("--output", type=Path, default=Path("costs.toml"), metavar="FILE", help=path)
    parser.add_argument("--force", action="store_true", help="write it where there is one already")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="measure everything so often (default 5)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="for all measurements, about (default 60)"
    )


def read_tune_options(words: argparse.Namespace) -> Options:
    """The options from parsed words.

    Raises:
        SMDDPArgumentError: a value that cannot be; the message says which and what is possible.
    """
    if words.rounds < 1:
        msg = f"--rounds {words.rounds}: expected a number from 1 up"
        raise SMDDPArgumentError(msg)
    if not 0.1 <= words.seconds <= 1e6:
        msg = f"--seconds {words.seconds:g}: expected a time from 0.1 to 1000000"
        raise SMDDPArgumentError(msg)
    return Options(output=words.output, force=words.force, rounds=words.rounds, seconds=words.seconds)
