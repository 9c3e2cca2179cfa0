"""Interfaces, names, ports and fast networks of this host."""

from __future__ import annotations

import queue
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from smddp.launch.machine import is_free
from smddp.tools.doctor.collect.interfaces import read_interfaces
from smddp.tools.doctor.collect.ports import holder_of, outgoing_ports, port_for_listening
from smddp.tools.doctor.facts import Fabric, Network

__all__ = ["collect_fabric", "collect_network", "resolve"]

_RESOLVE_SECONDS = 10.0
_FI_INFO_SECONDS = 20.0
_AMAZON = "0x1d0f"


def collect_network(env: Mapping[str, str], *, is_first: bool, root: Path = Path("/")) -> Network:
    """Return what the system says; `is_first`: rank 0 will be here, and needs the job's ports."""
    addresses, problem = resolve(socket.gethostname())
    return Network(
        interfaces=read_interfaces(),
        own_addresses=addresses,
        own_problem=problem,
        listen_port=port_for_listening(),
        held_ports=_held_ports(env) if is_first else {},
        outgoing_ports=outgoing_ports(root),
        interface_names=tuple(name for _, name in socket.if_nameindex()),
    )


def resolve(name: str, seconds: float = _RESOLVE_SECONDS) -> tuple[tuple[str, ...], str]:
    """Return the IPv4 addresses that a name has here, and why it has none."""
    answers: queue.Queue[tuple[tuple[str, ...], str]] = queue.Queue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            answers.put(((), (error.strerror or str(error)).lower()))
        else:
            answers.put((tuple(dict.fromkeys(str(entry[4][0]) for entry in found)), ""))

    # The C library asks name servers for as long as it likes.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return (), f"no name server has answered within {seconds:g} s"


def collect_fabric(root: Path = Path("/")) -> Fabric:
    """Return the RDMA devices, and libfabric's providers."""
    folder = root / "sys/class/infiniband"
    devices = sorted(folder.iterdir()) if folder.is_dir() else []
    efa = [device.name for device in devices if _vendor(device) == _AMAZON]
    others = [device.name for device in devices if device.name not in efa]
    return Fabric(efa=tuple(efa), infiniband=tuple(others), providers=_providers())


def _vendor(device: Path) -> str:
    try:
        return (device / "device/vendor").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _providers() -> tuple[str, ...] | None:
    program = shutil.which("fi_info") or shutil.which("/opt/amazon/efa/bin/fi_info")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-l"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FI_INFO_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(re.findall(r"^(\S+):$", done.stdout, re.MULTILINE))


def _held_ports(env: Mapping[str, str]) -> dict[str, str]:
    """The ports of rank 0 on which somebody listens already: of torch's store, and of smddp's own on several hosts."""
    text = env.get("MASTER_PORT", "")
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65534):
        return {}
    on_one_host = env.get("WORLD_SIZE") is not None and env.get("WORLD_SIZE") == env.get("LOCAL_WORLD_SIZE")
    ports = (int(text),) if on_one_host else (int(text), int(text) + 1)
    return {str(port): holder_of(port) for port in ports if not is_free(port)}
