"""Judging facts: each check is a pure function from a `Subject` to findings. A new one is a line in `_CHECKS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from smddp.tools.doctor.checks.environment import (
    check_hidden_files,
    check_ranks,
    check_settings,
    check_threads,
    check_variables,
)
from smddp.tools.doctor.checks.launching import check_mpi, check_toolkit, check_unreached
from smddp.tools.doctor.checks.leftovers import check_leftovers
from smddp.tools.doctor.checks.limits import check_limits
from smddp.tools.doctor.checks.machine import check_cores, check_kernel, check_memory, check_stores
from smddp.tools.doctor.checks.names import check_identity, check_names, check_ports
from smddp.tools.doctor.checks.network import check_fabric, check_interfaces, check_named_interfaces
from smddp.tools.doctor.checks.reach import check_clocks, check_reach, check_store
from smddp.tools.doctor.checks.software import check_adapters, check_old_module, check_versions
from smddp.tools.doctor.checks.subject import Subject, Unreached
from smddp.tools.doctor.finding import Finding, merge

__all__ = ["Subject", "Unreached", "examine"]

_CHECKS: tuple[Callable[[Subject], Iterable[Finding]], ...] = (
    check_unreached,
    check_mpi,
    check_toolkit,
    check_versions,
    check_adapters,
    check_old_module,
    check_interfaces,
    check_named_interfaces,
    check_reach,
    check_store,
    check_identity,
    check_names,
    check_ports,
    check_ranks,
    check_settings,
    check_variables,
    check_hidden_files,
    check_threads,
    check_limits,
    check_kernel,
    check_stores,
    check_cores,
    check_memory,
    check_clocks,
    check_leftovers,
    check_fabric,
)


def examine(subject: Subject) -> list[Finding]:
    """Return what is wrong, the worst first."""
    return merge(finding for check in _CHECKS for finding in check(subject))
