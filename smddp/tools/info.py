"""``smddp info``: what is built, what is found on this machine, and what is configured."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smddp import __version__
from smddp.config import SETTINGS, Setting, Settings, read_settings
from smddp.cuda import nccl_paths
from smddp.identity import read_identity
from smddp.tools.doctor.checks.subject import size_text
from smddp.tools.doctor.collect.interfaces import engine_order, read_interfaces
from smddp.tools.doctor.collect.mpi import collect_mpi
from smddp.tools.doctor.collect.network import collect_fabric
from smddp.tools.doctor.collect.software import built_modules, installed
from smddp.tools.doctor.collect.system import collect_system
from smddp.tools.doctor.facts import Program

__all__ = ["info"]

_ADAPTERS = {"torch": "_torch", "tensorflow": "_tf"}


def info(*, as_json: bool = False) -> None:
    """Print it.

    Raises:
        SMDDPError: a setting or a variable of a launcher is malformed.
    """
    settings = read_settings()
    facts = {"built": _built(), "found": _found(settings), "configured": _configured(settings)}
    if as_json:
        sys.stdout.write(json.dumps({"smddp": __version__, **facts}, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(facts, settings)) + "\n")


def _built() -> dict[str, Any]:
    """By framework: what is installed, and what the adapter was built for (None: not there)."""
    modules, packages = built_modules(), installed()
    adapters = {
        framework: {"installed": packages.get(framework), "adapter_for": modules.get(module)}
        for framework, module in _ADAPTERS.items()
    }
    return {"core": "_core" in modules, **adapters}


def _found(settings: Settings) -> dict[str, Any]:
    identity, mpi, fabric = read_identity(os.environ), collect_mpi(None, os.environ), collect_fabric()
    system = collect_system(os.environ)
    return {
        "rank": {"rank": identity.rank, "size": identity.size, "source": identity.source},
        "transports": _transports(),
        "mpi": [dataclasses.asdict(one) for one in ([mpi.mpirun] if mpi.mpirun else []) + list(mpi.others)],
        "mpi_problem": mpi.problem,
        "interfaces": [
            {"name": one.name, "address": one.address, "mtu": one.mtu}
            for one in engine_order(read_interfaces(), settings.socket_ifname)
        ],
        "efa": list(fabric.efa),
        "infiniband": list(fabric.infiniband),
        "libfabric_providers": None if fabric.providers is None else list(fabric.providers),
        "cuda": _cuda(settings),
        "host_name": system.host_name,
        "host_id": system.host_id,
        "cores": system.cores_usable,
        "memory_bytes": system.memory,
        "shared_memory_bytes": system.shared_memory.size,
    }


def _transports() -> list[str]:
    """Those for jobs; none without the native module."""
    if "_core" not in built_modules():
        return []
    from smddp import _core

    return ["shm", *(name for name in _core.transport_names() if name != "inproc")]


def _cuda(settings: Settings) -> dict[str, Any]:
    """GPUs, and NCCL where there are any; the reasons where there are none."""
    if "_core" not in built_modules():
        return {"devices": [], "problem": "unknown, because the native module is not built"}
    from smddp import _core

    cuda = _core.cuda_facts()
    found = {
        "devices": cuda.devices,
        "problem": cuda.problem,
        "driver": cuda.driver,
        **_kernels(settings.gpu_kernels),
    }
    if not cuda.devices:
        return found
    nccl = _core.nccl_facts(nccl_paths(settings.nccl_library))
    return {**found, "nccl": nccl.version, "nccl_path": nccl.path, "nccl_problem": nccl.problem}


def _kernels(path: str) -> dict[str, str]:
    """The GPUs that the kernels at that path, or smddp's own, were compiled for, or why there are none."""
    if path:
        found = Path(path).is_file()
        return {"kernels": f"of {path}" if found else "", "kernels_problem": "" if found else f"{path} is no file"}
    try:
        from smddp import _cuda
    except ImportError as problem:
        built = importlib.util.find_spec("smddp._cuda") is not None
        return {"kernels": "", "kernels_problem": str(problem) if built else "there was no nvcc when it was built"}
    return {"kernels": f"for {_cuda.architectures()}", "kernels_problem": ""}


def _configured(settings: Settings) -> list[dict[str, Any]]:
    return [
        {"name": setting.name, "value": _shown(setting, settings), "origin": _origin(setting, settings)}
        for setting in SETTINGS
    ]


def _shown(setting: Setting, settings: Settings) -> Any:
    value = getattr(settings, setting.field)
    return "(secret)" if setting.field == "job_secret" and value else value


def _origin(setting: Setting, settings: Settings) -> str:
    default = "; ".join(filter(None, ["default", setting.framework_default]))
    return settings.origins.get(setting.field, default)


def _lines(facts: dict[str, Any], settings: Settings) -> list[str]:
    built, found = facts["built"], facts["found"]
    rank = found["rank"]
    return [
        f"smddp {__version__}, native module {'built' if built['core'] else 'not built'}",
        *(_framework_line(name, built[name]) for name in _ADAPTERS),
        _transport_line(found["transports"]),
        f"rank {rank['rank']} of {rank['size']} (from: {rank['source']})",
        f"connections are authenticated with: {_secret_source(settings.job_secret)}",
        *_mpi_lines([Program(**one) for one in found["mpi"]], found["mpi_problem"]),
        *(f"interface {one['name']}, {one['address']}, mtu {one['mtu']}" for one in found["interfaces"]),
        *_fabric_lines(found),
        *_cuda_lines(found["cuda"], settings.gpu_collectives),
        f"host {found['host_name']}, identity {found['host_id'] or 'unknown'}",
        f"{found['cores']} cores, {size_text(found['memory_bytes'])} of memory, "
        f"{size_text(found['shared_memory_bytes'])} in /dev/shm",
        *(f"{one['name']} = {one['value']} ({one['origin']})" for one in facts["configured"]),
    ]


def _framework_line(name: str, facts: dict[str, str | None]) -> str:
    installed, built_for = facts["installed"], facts["adapter_for"]
    adapter = "not built" if built_for is None else f"built for {name} {built_for}" if built_for else "built"
    return f"{name} {installed or 'not installed'}, adapter {adapter}"


def _transport_line(names: Sequence[str]) -> str:
    if not names:
        return "transports unknown"
    left_out = "" if "ofi" in names else "; ofi was left out, for want of libfabric's headers at build time"
    return f"transports {', '.join(names)}{left_out}"


def _secret_source(secret: str) -> str:
    return "SMDDP_JOB_SECRET" if secret else "random, through the framework's store; or from the job id without one"


def _mpi_lines(programs: Sequence[Program], problem: str) -> list[str]:
    if not programs:
        return [f"no mpirun: {problem}"]
    first, *others = programs
    return [
        f"mpirun {first.path}, {first.version} (smddprun uses it)",
        *(f"mpirun {one.path}, {one.version}" for one in others),
    ]


def _fabric_lines(found: dict[str, Any]) -> list[str]:
    devices = [*(f"EFA {name}" for name in found["efa"]), *(f"RDMA {name}" for name in found["infiniband"])]
    providers = found["libfabric_providers"]
    known = "fi_info is not installed" if providers is None else f"libfabric providers {', '.join(providers)}"
    return [f"fast networks: {', '.join(devices) or 'none'}; {known}"]


def _cuda_lines(cuda: dict[str, Any], collectives: str) -> list[str]:
    if "kernels" not in cuda:
        return [f"no GPU: {cuda['problem']}"]
    built = f"kernels {cuda['kernels']}" if cuda["kernels"] else f"no kernels for GPUs: {cuda['kernels_problem']}"
    if cuda["problem"]:
        reason, _, _ = cuda["problem"].partition("; ")  # what to do about it, only those need who expect a GPU
        return [f"no GPU: {reason}", f"smddp has {built}"]
    driver = f"{cuda['driver'] // 1000}.{cuda['driver'] % 1000 // 10}"
    return [
        f"GPUs {', '.join(cuda['devices'])}; driver for CUDA {driver}",
        f"smddp has {built}",
        f"collectives on CUDA tensors go {_way(cuda, collectives)}",
    ]


def _way(cuda: dict[str, Any], collectives: str) -> str:
    """By what, on this host."""
    if collectives == "host":
        return "through host memory, as SMDDP_GPU_COLLECTIVES says"
    if collectives != "ipc" and cuda["nccl"]:
        return f"by NCCL {cuda['nccl']} in {cuda['nccl_path']} where each rank has a GPU of its own"
    if cuda["kernels"]:
        return "by smddp's kernels inside a host, and through host memory between hosts"
    if collectives == "ipc":
        return "nowhere, as SMDDP_GPU_COLLECTIVES=ipc needs smddp's kernels"
    return f"through host memory, as there is no NCCL: {cuda['nccl_problem']}"
