"""The variables of this process, and those mistakes in them that one host can see."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from smddp.alone import RECORD
from smddp.config import SETTINGS, read_settings
from smddp.errors import SMDDPConfigError
from smddp.identity import read_identity, read_whole_number
from smddp.tools.doctor.facts import Environment

__all__ = ["collect_environment"]

_PREFIXES = ("SMDDP_", "SMDATAPARALLEL_", "NCCL_", "GLOO_", "FI_", "RDMAV_", "TORCH_")
#: Of Open MPI's many, which it also sets in its ranks, those that say which way to take.
_MPI_PREFIXES = ("OMPI_MCA_", "PRTE_MCA_")
_MPI_SUFFIXES = ("_if_include", "_if_exclude", "_agent")
_NAMES = frozenset(
    {
        *("OMP_NUM_THREADS", "MASTER_ADDR", "MASTER_PORT", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH"),
        *("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SM_FRAMEWORK_MODULE"),
    }
)
_SECRETS = ("SECRET", "TOKEN", "PASSWORD", "KEY")
_ADDRESS_VARIABLES = ("MASTER_PORT", "SMDATAPARALLEL_SERVER_PORT", "SM_MASTER_PORT")
#: Libraries that ours and the frameworks' modules load by a path that LD_LIBRARY_PATH goes before.
_LIBRARIES = (
    *("libsmddp.so", "libc10.so", "libtorch.so", "libtorch_cpu.so", "libtensorflow_framework.so.2"),
    *("libstdc++.so.6", "libgcc_s.so.1"),
)
#: Read by nothing here, and no typos: what scripts for the original library set.
_FOREIGN_SETTINGS = "SMDDP_AG_"


def collect_environment(env: Mapping[str, str]) -> Environment:
    """Return what matters of the environment, without secrets."""
    return Environment(
        variables={name: env[name] for name in sorted(env) if _matters(name)},
        bad_settings=_bad_settings(env),
        unknown_settings=_unknown_settings(env),
        rank_problem=_rank_problem(env),
        hidden_libraries=_hidden_libraries(env),
        missing_preloads=tuple(
            name
            for name in env.get("LD_PRELOAD", "").replace(":", " ").split()
            if "/" in name and not Path(name).exists()
        ),
        log_problem=_log_problem(env),
    )


def _matters(name: str) -> bool:
    if any(word in name for word in _SECRETS):
        return False
    if name.startswith(_MPI_PREFIXES):
        return name.endswith(_MPI_SUFFIXES)
    return name in _NAMES or name.startswith(_PREFIXES)


def _bad_settings(env: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for setting in SETTINGS:
        if env.get(setting.name):
            try:
                read_settings({setting.name: env[setting.name]})
            except SMDDPConfigError as error:
                found[setting.name] = str(error)
    for name in _ADDRESS_VARIABLES:
        if env.get(name):
            try:
                read_whole_number(env, name, low=1, high=65534)
            except SMDDPConfigError as error:
                found[name] = str(error)
    return found


def _unknown_settings(env: Mapping[str, str]) -> dict[str, str]:
    known = [setting.name for setting in SETTINGS]
    return {
        name: next(iter(difflib.get_close_matches(name, known, n=1)), "")
        for name in sorted(env)
        if name.startswith("SMDDP_") and name not in (*known, RECORD) and not name.startswith(_FOREIGN_SETTINGS)
    }


def _rank_problem(env: Mapping[str, str]) -> str:
    try:
        read_identity(env)
    except SMDDPConfigError as error:
        return str(error)
    except ValueError as error:  # a local rank that does not fit
        return str(error)
    return ""


def _hidden_libraries(env: Mapping[str, str]) -> tuple[str, ...]:
    folders = [folder for folder in env.get("LD_LIBRARY_PATH", "").split(":") if folder]
    paths = [os.path.join(folder, name) for folder in folders for name in _LIBRARIES]  # noqa: PTH118
    return tuple(path for path in paths if Path(path).exists())


def _log_problem(env: Mapping[str, str]) -> str:
    for name in ("SMDDP_DEBUG_FILE", "NCCL_DEBUG_FILE"):
        if env.get(name):
            folder = Path(env[name]).absolute().parent
            if not folder.is_dir():
                return f"{name}={env[name]}: there is no folder {folder}"
            if not os.access(folder, os.W_OK | os.X_OK):
                return f"{name}={env[name]}: nothing can be written in {folder}"
            return ""
    return ""
