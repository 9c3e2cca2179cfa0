"""Costs as TOML files, which people or `smddp tune` write; docs/tuning.md describes the form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from smddp.costs.values import ANY_SIZE, Costs, LinkRate
from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.toml_tables import Table, read_text, read_toml

__all__ = ["KEYS", "LINK_KEY", "TRANSPORTS", "dumps", "load", "loads"]

#: Those that can be between hosts (inproc: in tests).
TRANSPORTS = ("tcp", "ofi", "inproc")
#: Field of Costs -> its key in the file, and what a second is there. Numbers are divided by it: 0.1 ns is then 1e-10.
KEYS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "hop": ("hop_us", 1e6),
        "message": ("message_us", 1e6),
        "reduce": ("reduce_ns_per_byte", 1e9),
        "native_step": ("native_step_us", 1e6),
        "native": ("native_ns_per_byte", 1e9),
    }
)
LINK_KEY, _SIZE_KEY = "ns_per_byte", "up_to_bytes"


def load(path: Path) -> dict[str, Costs]:
    """Read costs from a file, by transport.

    Raises:
        SMDDPConfigError: one sentence that names the file, the place in it, and the mistake.
    """
    return loads(read_text(path), source=str(path))


def loads(text: str, *, source: str) -> dict[str, Costs]:
    """Read costs from text; `source` names it in messages.

    Raises:
        SMDDPConfigError: as `load`.
    """
    known = (*(key for key, _ in KEYS.values()), "link")
    try:
        top = Table(read_toml(text), ("transport",))
        found = {name: _costs(table) for name, table in top.named("transport", TRANSPORTS, known)}
        if not found:
            top.refuse("there is no [transport.tcp] or other transport")
    except ValueError as problem:
        msg = f"{source}: {problem}"
        raise SMDDPConfigError(msg) from None
    return found


def _costs(table: Table) -> Costs:
    values = {field: _amount(table, key) / unit for field, (key, unit) in KEYS.items() if key in table}
    rates = tuple(_rate(rate) for rate in table.tables("link", (_SIZE_KEY, LINK_KEY)))
    try:
        return Costs(link=rates, **values)
    except SMDDPArgumentError as problem:
        table.refuse(str(problem))


def _amount(table: Table, key: str) -> float:
    value = table.number(key, None)
    if not 0 <= value < _MOST:
        table.refuse(f"{key} must be a number from 0 on, not {value:g}")
    return value


#: Of any unit; infinity and what is near it are mistakes.
_MOST = 1e12


def _rate(table: Table) -> LinkRate:
    value = _amount(table, LINK_KEY)
    if value == 0:
        table.refuse(f"{LINK_KEY} must be more than 0")
    size = table.integer(_SIZE_KEY, ANY_SIZE)
    if not 1 <= size <= ANY_SIZE:
        table.refuse(f"{_SIZE_KEY} must be a number of bytes from 1 on, not {size}; leave it out in the last [[link]]")
    return LinkRate(size, value / 1e9)


def dumps(costs: Mapping[str, Costs], comments: Iterable[str] = ()) -> str:
    """The costs as a file that `load` reads, to four digits; `comments` are lines at its top."""
    lines = [f"# {line}".rstrip() for line in comments]
    for transport, each in costs.items():
        lines += [*([""] if lines else []), *_lines(transport, each)]
    return "\n".join(lines) + "\n"


def _lines(transport: str, costs: Costs) -> Iterator[str]:
    yield f"[transport.{transport}]"
    for field, (key, unit) in KEYS.items():
        value = getattr(costs, field)
        if value is not None:
            yield f"{key} = {value * unit:.4g}"
    for rate in costs.link:
        yield from ("", f"[[transport.{transport}.link]]")
        if rate.nbytes != ANY_SIZE:
            yield f"{_SIZE_KEY} = {rate.nbytes}"
        yield f"{LINK_KEY} = {rate.seconds_per_byte * 1e9:.4g}"
