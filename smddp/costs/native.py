"""Costs as the engine has them, from and to the values of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from smddp import _core
from smddp.costs.values import Costs, LinkRate
from smddp.topology import Topology
from smddp.topology.native import to_native

__all__ = ["costs_between", "encode_costs", "from_native", "overlaid"]


def encode_costs(costs: Mapping[str, Costs]) -> bytes:
    """The canonical bytes of costs by transport, as Config.costs takes them: equal for what means the same."""
    return _core.encode_costs(_measured(costs))


def costs_between(topology: Topology, costs: Mapping[str, Costs], transport: str) -> _core.Costs:
    """With what the engine plans between the hosts of `topology`, over `transport`."""
    return _core.costs_between(to_native(topology), _measured(costs), transport)


def overlaid(base: _core.Costs, costs: Costs) -> _core.Costs:
    """`base`, with what `costs` knows in its place."""
    native = _core.Costs()
    for field in fields(Costs):
        value = getattr(costs, field.name)
        if field.name == "link":
            value = [_core.LinkRate(rate.nbytes, rate.seconds_per_byte) for rate in value] or None
        setattr(native, field.name, getattr(base, field.name) if value is None else value)
    return native


def from_native(native: _core.Costs) -> Costs:
    """The same value in Python, where everything is known."""
    return Costs(
        hop=native.hop,
        message=native.message,
        link=tuple(LinkRate(rate.bytes, rate.seconds_per_byte) for rate in native.link),
        reduce=native.reduce,
        native_step=native.native_step,
        native=native.native,
    )


def _measured(costs: Mapping[str, Costs]) -> dict[str, _core.Costs]:
    """What is not known has the engine's default; of links it takes the topology's where there is no rate."""
    base = _core.Costs()
    base.link = []
    return {transport: overlaid(base, each) for transport, each in costs.items()}
