"""Gathering the facts of this host. What it reads below / can be put elsewhere, for tests."""

from __future__ import annotations

from collections.abc import Mapping

from smddp.tools.doctor.collect.environment import collect_environment
from smddp.tools.doctor.collect.leftovers import collect_leftovers
from smddp.tools.doctor.collect.limits import collect_limits
from smddp.tools.doctor.collect.loading import start_loading
from smddp.tools.doctor.collect.mpi import collect_mpi
from smddp.tools.doctor.collect.network import collect_fabric, collect_network
from smddp.tools.doctor.collect.software import collect_software
from smddp.tools.doctor.collect.system import collect_system
from smddp.tools.doctor.facts import HostFacts

__all__ = ["collect_facts"]


def collect_facts(env: Mapping[str, str], *, rank: int = 0, mpirun: str | None = None, quick: bool) -> HostFacts:
    """Return the facts of this host.

    Args:
        env: of the process.
        rank: of this probe.
        mpirun: the one that the user named.
        quick: leave out what takes seconds: loading the frameworks.
    """
    system = collect_system(env)  # first: the load shall not be ours
    loading = start_loading(env, quick=quick)
    return HostFacts(
        rank=rank,
        mpi=collect_mpi(mpirun, env),
        limits=collect_limits(),
        system=system,
        network=collect_network(env, is_first=rank == 0),
        environment=collect_environment(env),
        fabric=collect_fabric(),
        leftovers=collect_leftovers(),
        software=collect_software(loading()),
    )
