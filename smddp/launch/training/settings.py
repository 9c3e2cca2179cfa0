"""The arguments of a job, checked, with everything filled in that does not depend on the moment of its start."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smddp.errors import SMDDPArgumentError
from smddp.launch.distribution import Distribution, parse_distribution, parse_framework_parameters
from smddp.launch.hosts import parse_hostfile
from smddp.launch.training import hyperparameters as hp
from smddp.launch.training.facts import is_this_machine

__all__ = ["Parameters", "Places", "check_environment", "check_parameters", "check_places", "check_whole_number"]

_VARIABLE = re.compile(r"[^=\0]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What the script, the framework's launcher and the platform are told; and the strategy among it."""

    user: dict[str, object]
    framework: dict[str, object]
    platform: dict[str, object]
    distribution: Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the ranks run.

    Args:
        hosts: machines in the order of ranks; empty: this one, or those that a scheduler has given.
        instance_count: how many hosts the job is told that it has.
        processes_per_host: None: what the strategy and the machine say.
    """

    hosts: tuple[str, ...]
    instance_count: int
    processes_per_host: int | None


def check_parameters(hyperparameters: object, distribution: object, instance_type: str) -> Parameters:
    """Sort the hyperparameters; those of the SDK, whose names begin with ``sagemaker_``, may tell the strategy.

    Raises:
        SMDDPArgumentError: a value that JSON cannot hold, or a bad distribution.
    """
    if hyperparameters is not None and not isinstance(hyperparameters, Mapping):
        msg = f"hyperparameters must be a dictionary, not {type(hyperparameters).__name__}"
        raise SMDDPArgumentError(msg)
    sorted_out = hp.split(hp.decode(hp.encode(hyperparameters or {})))
    if distribution is None:
        checked = parse_framework_parameters(sorted_out.framework)
        framework = sorted_out.framework
    else:
        checked = parse_distribution(distribution)
        framework = sorted_out.framework | checked.to_framework_parameters(instance_type)
    return Parameters(user=sorted_out.user, framework=framework, platform=sorted_out.platform, distribution=checked)


def check_places(hosts: object, instance_count: object, processes_per_host: object) -> Places:
    """Weigh the host list against the two numbers; each may be None.

    Raises:
        SMDDPArgumentError: they contradict each other, or are none.
    """
    count = None if instance_count is None else check_whole_number("instance_count", instance_count)
    processes = None if processes_per_host is None else check_whole_number("processes_per_host", processes_per_host)
    if hosts is None:
        return Places(hosts=(), instance_count=count or 1, processes_per_host=processes)
    names = hosts.split(",") if isinstance(hosts, str) else hosts
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        msg = f"hosts must be a list of names, not {hosts!r}"
        raise SMDDPArgumentError(msg)
    listed = parse_hostfile("\n".join(names), "hosts")
    if count is not None and count != len(listed):
        msg = f"instance_count is {count}, but hosts has {len(listed)} names: make them equal, or leave out the count"
        raise SMDDPArgumentError(msg)
    slots = {host.slots for host in listed}
    if len(slots) > 1 or (processes is not None and slots not in ({None}, {processes})):
        msg = "hosts: the same number of ranks runs on each host: leave out the slots, and give processes_per_host"
        raise SMDDPArgumentError(msg)
    # mpirun begins with the machine it runs on, in some versions wherever that stands in the list
    ordered = sorted((host.name for host in listed), key=lambda name: not is_this_machine(name))
    return Places(hosts=tuple(ordered), instance_count=len(listed), processes_per_host=processes or slots.pop())


def check_environment(environment: Mapping[Any, object] | None) -> dict[str, str]:
    """Return the variables as text.

    Raises:
        SMDDPArgumentError: a name or value that no environment can hold.
    """
    result = {}
    for name, value in (environment or {}).items():
        text = value if isinstance(value, str) else str(value)
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name) or "\0" in text:
            msg = f"environment: {name!r} cannot be a variable's name, or its value holds a zero byte"
            raise SMDDPArgumentError(msg)
        result[name] = text
    return result


def check_whole_number(what: str, value: object) -> int:
    """Return the number.

    Raises:
        SMDDPArgumentError: it is none, or less than 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{what} must be a whole number, at least 1, not {value!r}"
        raise SMDDPArgumentError(msg)
    return value
