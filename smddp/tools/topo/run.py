"""Finds the topology that is asked for, and shows it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from smddp.config import read_settings
from smddp.errors import SMDDPArgumentError
from smddp.identity import read_identity
from smddp.tools.pictures import check_picture
from smddp.tools.topo.options import Options
from smddp.tools.topo.text import catalogue_lines, topology_lines
from smddp.topology import HostTopology, Topology, dumps, instance, load, load_host, resolve_host
from smddp.topology.native import discover_host, topology_hash

__all__ = ["topo"]


def topo(options: Options) -> int:
    """Show it; returns the exit code.

    Raises:
        SMDDPError: options that cannot be, a file with a mistake, or what went wrong between the ranks.
    """
    check_picture(options.svg)
    if options.form == "list":
        sys.stdout.write("\n".join(catalogue_lines()) + "\n")
        return 0
    topology = _find(options)
    if topology is not None:
        _show(options, topology)
    return 0


def _find(options: Options) -> Topology | None:
    """The topology, where this process is the one that shows it."""
    identity = read_identity(os.environ)
    asked = options.instance or options.file
    alike = options.hosts is not None or options.ranks_per_host is not None
    if identity.source != "single" and not asked:
        if alike:
            msg = "--hosts and --ranks-per-host: a job has its own; leave them out, or name an --instance or a --file"
            raise SMDDPArgumentError(msg)
        return _of_job()
    if identity.rank != 0:
        return None
    if options.file is not None and not alike:
        return load(options.file)
    return Topology.uniform(
        _one_host(options), hosts=_or_one(options.hosts), ranks_per_host=_or_one(options.ranks_per_host)
    )


def _or_one(number: int | None) -> int:
    return 1 if number is None else number


def _of_job() -> Topology | None:
    import smddp

    communicator = smddp.init()
    topology = communicator.topology
    is_first = communicator.rank == 0
    smddp.shutdown()
    return topology if is_first else None


def _one_host(options: Options) -> HostTopology:
    if options.instance is not None:
        return instance(options.instance)
    if options.file is not None:
        return load_host(options.file)
    settings = read_settings()
    return resolve_host(settings.topology) if settings.topology else discover_host(settings.socket_ifname)


def _show(options: Options, topology: Topology) -> None:
    digest = topology_hash(topology)
    if options.form == "json":
        sys.stdout.write(json.dumps({"hash": digest, **dataclasses.asdict(topology)}, indent=2) + "\n")
    elif options.form == "toml":
        sys.stdout.write(dumps(topology))
    else:
        sys.stdout.write("\n".join(topology_lines(topology, digest)) + "\n")
    if options.svg is not None:
        from smddp.tools.topo.picture import draw

        draw(options.svg, topology)
