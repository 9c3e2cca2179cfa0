"""What a job runs on: hosts, NUMA nodes, rails, GPUs. Values, a catalogue of EC2 instance types, and files.

`smddp.topology.native` discovers this host and speaks with the engine; nothing here imports it.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from smddp.errors import SMDDPConfigError
from smddp.topology.catalogue import catalogue, instance
from smddp.topology.files import dumps, load, load_host
from smddp.topology.values import Gpu, HostTopology, NumaNode, Rail, Topology

__all__ = [
    "Gpu",
    "HostTopology",
    "NumaNode",
    "Rail",
    "Topology",
    "catalogue",
    "dumps",
    "instance",
    "load",
    "load_host",
    "resolve_host",
]


def resolve_host(text: str) -> HostTopology:
    """The host that SMDDP_TOPOLOGY means: that of a file, or of an instance type.

    Raises:
        SMDDPConfigError: it is neither, or the file has a mistake.
    """
    if text in catalogue():
        return instance(text)
    if Path(text).is_file():
        return load_host(Path(text))
    near = difflib.get_close_matches(text, catalogue(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    msg = f"{text} is neither a file nor an instance type of the catalogue{hint} (smddp topo --list shows those)"
    raise SMDDPConfigError(msg)
