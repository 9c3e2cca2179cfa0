"""Host lists: ``-H a:2,b:2``, host files, and how many ranks each host takes. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from smddp.errors import SMDDPArgumentError
from smddp.launch.spec import Host

__all__ = ["format_hosts", "parse_host_list", "parse_hostfile", "place", "slot_total"]

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
#: After the host: Open MPI's and DeepSpeed's form (a hard limit too, which we do not have), or the Grid Engine's.
_SLOTS_WORDS = re.compile(r"(?:max[-_]slots\s*=\s*\d+\s+)?slots\s*=\s*(\S*)(?:\s+max[-_]slots\s*=\s*\d+)?")
_GRID_ENGINE_WORDS = re.compile(r"(\d+)(?:\s+\S+){1,2}")

#: More than any machine has; keeps a typing error from becoming a list of a billion ranks.
_MAX_SLOTS = 65536


def parse_host_list(text: str) -> tuple[Host, ...]:
    """Parse ``a:2,b:2`` or ``a,b``.

    Raises:
        SMDDPArgumentError: nothing in it, a bad name or slot count, or a host twice.
    """
    if not text.strip():
        msg = "-H: the host list is empty; expected host:slots,host:slots"
        raise SMDDPArgumentError(msg)
    return _unique("-H", [_parse_host(f"-H {text}", item.strip()) for item in text.split(",")])


def parse_hostfile(text: str, name: str) -> tuple[Host, ...]:
    """Parse a host file's text, ``#`` for comments.

    Lines are ``host``, ``host:N`` (MPICH, Intel MPI), ``host slots=N`` (Open MPI, DeepSpeed; also with ``max_slots=``,
    which is not looked at) or ``host N queue ...`` (Grid Engine). A bare host on several lines has as many slots (PBS,
    LSF).

    Raises:
        SMDDPArgumentError: no host in it, a line that is none of these, or a host with slots twice; names file and
            line.
    """
    hosts = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        where = f"{name}, line {number}"
        host, *words = content.split(maxsplit=1)
        rest = words[0] if words else ""
        if not rest:
            hosts.append(_parse_host(where, host))
            continue
        slots = _SLOTS_WORDS.fullmatch(rest) or _GRID_ENGINE_WORDS.fullmatch(rest)
        if slots is None or ":" in host:
            msg = f"{where}: {content!r} is not a host line; expected 'host', 'host:N' or 'host slots=N'"
            raise SMDDPArgumentError(msg)
        hosts.append(_parse_host(where, f"{host}:{slots.group(1)}"))
    if not hosts:
        msg = f"{name}: no host in this file"
        raise SMDDPArgumentError(msg)
    return _unique(name, _count_lines(hosts))


def format_hosts(hosts: Iterable[Host]) -> str:
    """Return the list in the form that `parse_host_list` reads and every mpirun understands."""
    return ",".join(host.name if host.slots is None else f"{host.name}:{host.slots}" for host in hosts)


def slot_total(hosts: Iterable[Host]) -> int:
    """Return the number of slots; as in Open MPI, a host without a number has one."""
    return sum(1 if host.slots is None else host.slots for host in hosts)


def place(hosts: Sequence[Host], process_count: int, *, oversubscribe: bool) -> tuple[Host, ...]:
    """Return the hosts with as many slots as there are ranks to put on them.

    Slot counts that the user wrote are a limit, as mpirun's users expect; a list without any only says where,
    and the ranks spread over it evenly. With ``oversubscribe`` the counts become proportions.

    Raises:
        SMDDPArgumentError: more ranks than slots.
    """
    total = slot_total(hosts)
    if process_count <= total:
        return tuple(Host(host.name, 1 if host.slots is None else host.slots) for host in hosts)
    if not oversubscribe and any(host.slots is not None for host in hosts):
        msg = (
            f"-np {process_count} is more than the {total} slots of the host list {format_hosts(hosts)}: "
            "raise the slots, lower -np, or add --oversubscribe"
        )
        raise SMDDPArgumentError(msg)
    shares = [1 if host.slots is None else host.slots for host in hosts]
    # cumulative rounding: the counts add up exactly, and each is within one of its proportion
    bounds = [0]
    for share in shares:
        bounds.append(bounds[-1] + share)
    edges = [-(-process_count * bound // total) for bound in bounds]
    return tuple(Host(host.name, edges[i + 1] - edges[i]) for i, host in enumerate(hosts))


def _parse_host(where: str, text: str) -> Host:
    name, colon, slots = text.partition(":")
    if not _NAME.fullmatch(name):
        msg = f"{where}: {text!r} has no valid host name; expected host or host:slots"
        raise SMDDPArgumentError(msg)
    if not colon:
        return Host(name)
    if not (slots.isascii() and slots.isdecimal() and len(slots) <= 6 and 1 <= int(slots) <= _MAX_SLOTS):
        msg = f"{where}: {slots!r} is not a slot count for host {name}; expected 1 to {_MAX_SLOTS}"
        raise SMDDPArgumentError(msg)
    return Host(name, int(slots))


def _count_lines(hosts: list[Host]) -> list[Host]:
    """One entry for each bare host, with the number of its lines if there are several."""
    lines = Counter(host.name for host in hosts if host.slots is None)
    merged: list[Host] = []
    for host in hosts:
        one = host if host.slots is not None or lines[host.name] == 1 else Host(host.name, lines[host.name])
        if host.slots is not None or one not in merged:
            merged.append(one)
    return merged


def _unique(where: str, hosts: list[Host]) -> tuple[Host, ...]:
    seen = set()
    for host in hosts:
        if host.name in seen:
            msg = f"{where}: host {host.name} is listed twice; write {host.name}:N for N ranks on it"
            raise SMDDPArgumentError(msg)
        seen.add(host.name)
    return tuple(hosts)
