"""Topologies as TOML files, which people write; docs/topology.md describes the form."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.toml_tables import Table, read_text, read_toml
from smddp.topology.values import Gpu, HostTopology, NumaNode, Rail, Topology

__all__ = ["dumps", "format_cpus", "load", "load_host", "loads"]

_MOST_CPUS = _MOST_HOSTS = 65536


def load(path: Path) -> Topology:
    """Read a topology from a file.

    Raises:
        SMDDPConfigError: one sentence that names the file, the place in it, and the mistake.
    """
    return loads(read_text(path), source=str(path))


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
        top = Table(read_toml(text), ("host", "host_of_rank"))
        hosts = tuple(itertools.chain.from_iterable(_hosts(top)))
        if not hosts:
            top.refuse("there is no [[host]]")
        ranks = top.integers("host_of_rank", tuple(range(len(hosts))))
        return Topology(hosts=hosts, host_of_rank=ranks)
    except ValueError as problem:
        msg = f"{source}: {problem}"
        raise SMDDPConfigError(msg) from None


_HOST_KEYS = (
    *("count", "instance_type", "threads_per_core", "cpu_limit", "memory_gbytes_per_s"),
    *("numa", "rail", "gpu"),
)


def _hosts(top: Table) -> Iterator[tuple[HostTopology, ...]]:
    for table in top.tables("host", _HOST_KEYS):
        count = table.integer("count", 1)
        if not 1 <= count <= _MOST_HOSTS:
            table.refuse(f"count must be from 1 to {_MOST_HOSTS}, not {count}")
        try:
            host = _host(table)
        except SMDDPArgumentError as problem:
            table.refuse(str(problem))
        yield (host,) * count


def _host(table: Table) -> HostTopology:
    return HostTopology(
        instance_type=table.text("instance_type", ""),
        threads_per_core=table.integer("threads_per_core", 1),
        cpu_limit=table.number("cpu_limit", 0.0),
        memory_gbytes_per_s=table.number("memory_gbytes_per_s", 0.0),
        numa_nodes=tuple(NumaNode(cpus=_cpus(node, "cpus")) for node in table.tables("numa", ("cpus",))),
        rails=tuple(_rail(rail) for rail in table.tables("rail", ("name", "gbps", "numa"))),
        gpus=tuple(_gpu(gpu) for gpu in table.tables("gpu", ("numa", "rails"))),
    )


def _cpus(table: Table, key: str) -> tuple[int, ...]:
    text = table.text(key, None)
    parts = [re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part.strip()) for part in text.split(",") if text]
    ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part is not None]
    if len(ranges) < len(parts) or not all(part and part.stop <= _MOST_CPUS for part in ranges):
        table.refuse(f'{key} must be processors such as "0-3,8-11", not {text!r}')
    return tuple(itertools.chain.from_iterable(ranges))


def _rail(table: Table) -> Rail:
    return Rail(name=table.text("name", None), gbps=table.number("gbps", None), numa=table.integer("numa", -1))


def _gpu(table: Table) -> Gpu:
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
