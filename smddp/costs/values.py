"""What things take between hosts, as values; native/include/smddp/costs.h has the engine's, with what each means."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from smddp.errors import SMDDPArgumentError

__all__ = ["ANY_SIZE", "Costs", "LinkRate"]

#: In the last LinkRate of a link: messages of any size. As native/include/smddp/costs.h.
ANY_SIZE = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class LinkRate:
    """What a byte of messages of at most `nbytes` takes on one direction of a host's links."""

    nbytes: int
    seconds_per_byte: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of one transport between hosts, in seconds; None where nobody knows.

    Attributes:
        hop: from posting an empty message until its receiver goes on.
        message: a processor is busy with sending and receiving one.
        link: by ascending size, the last of ANY_SIZE; empty where nobody knows.
        reduce: adding up, per byte read.
        native_step: a step inside a host.
        native: in such a step, per byte of one rank.

    Raises:
        SMDDPArgumentError: a time that cannot be, or rates that do not ascend to ANY_SIZE.
    """

    hop: float | None = None
    message: float | None = None
    link: tuple[LinkRate, ...] = ()
    reduce: float | None = None
    native_step: float | None = None
    native: float | None = None

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise SMDDPArgumentError(problem)


def _problems(costs: Costs) -> Iterable[str]:
    for name in ("hop", "message", "reduce", "native_step", "native"):
        value = getattr(costs, name)
        if value is not None and not 0 <= value < math.inf:
            yield f"{name}: must be a time from 0 on, not {value}"
    sizes = [rate.nbytes for rate in costs.link]
    if sizes != sorted(set(sizes)) or any(size < 1 for size in sizes):
        yield f"link: sizes must ascend from 1, got {sizes}"
    if sizes and sizes[-1] != ANY_SIZE:
        yield f"link: the last rate must be that of any size, not of up to {sizes[-1]} bytes"
    for rate in costs.link:
        if not 0 < rate.seconds_per_byte < math.inf:
            yield f"link: a byte takes more than nothing, and ends; got {rate.seconds_per_byte}"
