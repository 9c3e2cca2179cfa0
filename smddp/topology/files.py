"""Topologies as TOML files, which people write; docs/topology.md describes the form."""

from __future__ import annotations

import difflib
import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.topology.values import Gpu, HostTopology, NumaNode, Rail, Topology

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["dumps", "format_cpus", "load", "load_host", "loads", "read_toml"]

_MOST_CPUS = _MOST_HOSTS = 65536


def load(path: Path) -> Topology:
    """Read a topology from a file.

    Raises:
        SMDDPConfigError: one sentence that names the file, the place in it, and the mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not text in UTF-8"
        msg = f"cannot read {path}: {reason}"
        raise SMDDPConfigError(msg) from None
    return loads(text, source=str(path))


def load_host(path: Path) -> HostTopology:
    """Read the one host that a file describes.

    Raises:
        SMDDPConfigError: as `load`, or it describes hosts that differ.
    """
    topology = load(path)
    if len(set(topology.hosts)) > 1:
        msg = (
            f"{path}: describes {len(set(topology.hosts))} different hosts; one [[host]] is needed, which holds for all"
        )
        raise SMDDPConfigError(msg)
    return topology.hosts[0]


def loads(text: str, *, source: str) -> Topology:
    """Read a topology from text; `source` names it in messages.

    Raises:
        SMDDPConfigError: as `load`.
    """
    try:
        top = _Table(read_toml(text), ("host", "host_of_rank"), "at the top")
        hosts = tuple(itertools.chain.from_iterable(_hosts(top)))
        if not hosts:
            top.refuse("there is no [[host]]")
        ranks = top.integers("host_of_rank", tuple(range(len(hosts))))
        return Topology(hosts=hosts, host_of_rank=ranks)
    except ValueError as problem:
        msg = f"{source}: {problem}"
        raise SMDDPConfigError(msg) from None


def read_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text; raises ValueError."""
    tables: dict[str, Any] = tomllib.loads(text)
    return tables


class _Table:
    """One table of the file; everything raises a ValueError that says where it is."""

    def __init__(self, entries: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        self._entries = entries
        self._where = where
        for key in entries:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self.refuse(f"unknown key {key!r}; {hint}")

    def refuse(self, problem: str) -> NoReturn:
        """Raise the ValueError for a mistake in this table."""
        msg = f"{self._where}: {problem}"
        raise ValueError(msg)

    def _get(self, key: str, default: Any, kinds: tuple[type, ...], what: str) -> Any:
        if key not in self._entries and default is None:
            self.refuse(f"{key} is missing; it must be {what}")
        value = self._entries.get(key, default)
        if not isinstance(value, kinds) or isinstance(value, bool):
            self.refuse(f"{key} must be {what}, not {value!r}")
        return value

    def text(self, key: str, default: str | None) -> str:
        return str(self._get(key, default, (str,), "a text"))

    def integer(self, key: str, default: int | None) -> int:
        return int(self._get(key, default, (int,), "a whole number"))

    def number(self, key: str, default: float | None) -> float:
        return float(self._get(key, default, (int, float), "a number"))

    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        values = self._get(key, list(default), (list,), "a list of whole numbers")
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            self.refuse(f"{key} must be a list of whole numbers, not {values!r}")
        return tuple(values)

    def cpus(self, key: str) -> tuple[int, ...]:
        text = self.text(key, None)
        parts = [re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part.strip()) for part in text.split(",") if text]
        ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part is not None]
        if len(ranges) < len(parts) or not all(part and part.stop <= _MOST_CPUS for part in ranges):
            self.refuse(f'{key} must be processors such as "0-3,8-11", not {text!r}')
        return tuple(itertools.chain.from_iterable(ranges))

    def tables(self, key: str, known: Sequence[str]) -> Iterator[_Table]:
        entries = self._get(key, [], (list,), f"written as [[{key}]]")
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                self.refuse(f"{key} must be written as [[{key}]], not {entries!r}")
            place = f"{key} {index}" if self._where == "at the top" else f"{self._where}, {key} {index}"
            yield _Table(entry, known, place)


_HOST_KEYS = (
    *("count", "instance_type", "threads_per_core", "cpu_limit", "memory_gbytes_per_s"),
    *("numa", "rail", "gpu"),
)


def _hosts(top: _Table) -> Iterator[tuple[HostTopology, ...]]:
    for table in top.tables("host", _HOST_KEYS):
        count = table.integer("count", 1)
        if not 1 <= count <= _MOST_HOSTS:
            table.refuse(f"count must be from 1 to {_MOST_HOSTS}, not {count}")
        try:
            host = _host(table)
        except SMDDPArgumentError as problem:
            table.refuse(str(problem))
        yield (host,) * count


def _host(table: _Table) -> HostTopology:
    return HostTopology(
        instance_type=table.text("instance_type", ""),
        threads_per_core=table.integer("threads_per_core", 1),
        cpu_limit=table.number("cpu_limit", 0.0),
        memory_gbytes_per_s=table.number("memory_gbytes_per_s", 0.0),
        numa_nodes=tuple(NumaNode(cpus=node.cpus("cpus")) for node in table.tables("numa", ("cpus",))),
        rails=tuple(_rail(rail) for rail in table.tables("rail", ("name", "gbps", "numa"))),
        gpus=tuple(_gpu(gpu) for gpu in table.tables("gpu", ("numa", "rails"))),
    )


def _rail(table: _Table) -> Rail:
    return Rail(name=table.text("name", None), gbps=table.number("gbps", None), numa=table.integer("numa", -1))


def _gpu(table: _Table) -> Gpu:
    return Gpu(numa=table.integer("numa", -1), rails=table.integers("rails", ()))


def dumps(topology: Topology) -> str:
    """The topology as a file that `load` reads; equal neighbours become one [[host]]."""
    lines = []
    if topology.host_of_rank != tuple(range(len(topology.hosts))):
        lines += [f"host_of_rank = {list(topology.host_of_rank)}", ""]
    for host, same in itertools.groupby(topology.hosts):
        lines += [*_host_lines(host, len(list(same))), ""]
    return "\n".join(lines[:-1]) + "\n"


def _host_lines(host: HostTopology, count: int) -> Iterator[str]:
    defaults = HostTopology()
    yield "[[host]]"
    if count > 1:
        yield f"count = {count}"
    if host.instance_type:
        yield f"instance_type = {_quoted(host.instance_type)}"
    for name in ("threads_per_core", "cpu_limit", "memory_gbytes_per_s"):
        if getattr(host, name) != getattr(defaults, name):
            yield f"{name} = {getattr(host, name)!r}"
    for node in host.numa_nodes:
        yield from ("", "[[host.numa]]", f'cpus = "{format_cpus(node.cpus)}"')
    for rail in host.rails:
        yield from ("", "[[host.rail]]", f"name = {_quoted(rail.name)}", f"gbps = {rail.gbps!r}")
        if rail.numa >= 0:
            yield f"numa = {rail.numa}"
    for gpu in host.gpus:
        yield from ("", "[[host.gpu]]")
        if gpu.numa >= 0:
            yield f"numa = {gpu.numa}"
        if gpu.rails:
            yield f"rails = {list(gpu.rails)}"


def _quoted(text: str) -> str:
    # Of what JSON escapes, printable text holds only what TOML escapes in the same way.
    return json.dumps(text, ensure_ascii=False)


def format_cpus(cpus: Sequence[int]) -> str:
    """Ascending numbers as the kernel writes them: "0-3,8"."""
    parts = []
    for _, run in itertools.groupby(enumerate(cpus), lambda pair: pair[1] - pair[0]):
        numbers = [cpu for _, cpu in run]
        parts.append(str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ",".join(parts)
