"""What ``smddp topo`` is asked to show."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options", "add_topo_arguments", "read_topo_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where the topology comes from, and the form in which it is shown: text, json, toml, or list of the catalogue."""

    instance: str | None
    file: Path | None
    hosts: int | None
    ranks_per_host: int | None
    form: str
    svg: Path | None


def add_topo_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options of ``smddp topo``."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--instance", metavar="TYPE", help="an EC2 instance type of the catalogue")
    source.add_argument("--file", type=Path, help="a TOML file (docs/topology.md)")
    source.add_argument("--list", dest="form", action="store_const", const="list", help="show the catalogue")
    parser.add_argument("--hosts", type=int, metavar="N", help="so many hosts that are alike (default 1)")
    parser.add_argument("--ranks-per-host", type=int, metavar="N", help="ranks on each (default 1)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print it as JSON")
    form.add_argument("--toml", dest="form", action="store_const", const="toml", help="print it as a file for --file")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it")


def read_topo_options(words: argparse.Namespace) -> Options:
    """The options from parsed words."""
    return Options(
        instance=words.instance,
        file=words.file,
        hosts=words.hosts,
        ranks_per_host=words.ranks_per_host,
        form=words.form or "text",
        svg=words.svg,
    )
