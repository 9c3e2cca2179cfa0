"""The dictionary ``distribution`` of a training job: which launcher starts the ranks, how many, with which options.

    {"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": "-verbose -x NCCL_DEBUG=VERSION"}}}
    {"pytorchddp": {"enabled": True}}                      the same launcher under another name
    {"torch_distributed": {"enabled": True}}
    {"mpi": {"enabled": True, "processes_per_host": 4, "custom_mpi_options": "..."}}

The SageMaker SDK (version 2) sends it to the training hosts as hyperparameters whose names begin with ``sagemaker_``.
A word with blanks in ``custom_mpi_options`` is quoted as in a shell; the SageMaker toolkit cuts at every blank. Pure.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smddp.errors import SMDDPArgumentError
from smddp.launch.mpirun import split_exports

__all__ = ["Distribution", "parse_distribution", "parse_framework_parameters"]

_STRATEGIES = ("smdistributed", "pytorchddp", "torch_distributed", "mpi")
_ROOT = "distribution"

_DATAPARALLEL_ENABLED = "sagemaker_distributed_dataparallel_enabled"
_DATAPARALLEL_OPTIONS = "sagemaker_distributed_dataparallel_custom_mpi_options"
_PYTORCHDDP_ENABLED = "sagemaker_pytorch_ddp_enabled"
_TORCH_ENABLED = "sagemaker_torch_distributed_enabled"
_MPI_ENABLED = "sagemaker_mpi_enabled"
_MPI_OPTIONS = "sagemaker_mpi_custom_mpi_options"
_MPI_PROCESSES = "sagemaker_mpi_num_of_processes_per_host"
_INSTANCE_TYPE = "sagemaker_instance_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The dictionary, checked. All false: each host runs the script once, and the ranks are the hosts.

    Args:
        dataparallel: ``smdistributed.dataparallel`` or ``pytorchddp``.
        torch_distributed: may go with ``dataparallel``, as the SDK allows for newer instance types.
        mpi: excludes the others.
        custom_mpi_options: for mpirun, in one string.
        processes_per_host: from ``mpi``, which may say it for the others too; None if nobody has.
    """

    dataparallel: bool = False
    torch_distributed: bool = False
    mpi: bool = False
    custom_mpi_options: str = ""
    processes_per_host: int | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether any strategy starts several ranks per host."""
        return self.dataparallel or self.torch_distributed or self.mpi

    def to_dictionary(self) -> dict[str, object]:
        """Return the dictionary that `parse_distribution` reads as this."""
        result: dict[str, object] = {}
        if self.dataparallel:
            result["smdistributed"] = {
                "dataparallel": {"enabled": True, "custom_mpi_options": self.custom_mpi_options},
            }
        if self.torch_distributed:
            result["torch_distributed"] = {"enabled": True}
        if self.mpi or self.processes_per_host is not None:
            mpi: dict[str, object] = {"enabled": self.mpi}
            if self.processes_per_host is not None:
                mpi["processes_per_host"] = self.processes_per_host
            if self.mpi:
                mpi["custom_mpi_options"] = self.custom_mpi_options
            result["mpi"] = mpi
        return result

    def to_framework_parameters(self, instance_type: str) -> dict[str, object]:
        """Return what the SDK sends, before it turns each value into JSON."""
        result: dict[str, object] = {}
        if self.mpi or self.processes_per_host is not None:
            result[_MPI_ENABLED] = self.mpi
            if self.processes_per_host is not None:
                result[_MPI_PROCESSES] = self.processes_per_host
            result[_MPI_OPTIONS] = self.custom_mpi_options if self.mpi else ""
        if self.dataparallel:
            result[_DATAPARALLEL_ENABLED] = True
            result[_DATAPARALLEL_OPTIONS] = self.custom_mpi_options
        if self.torch_distributed:
            result[_TORCH_ENABLED] = True
        if self.dataparallel or self.torch_distributed:
            result[_INSTANCE_TYPE] = instance_type
        return result

    def mpi_words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the custom options as (words for mpirun, exports ``NAME`` or ``NAME=VALUE``)."""
        return _split_options(self.custom_mpi_options, "custom_mpi_options")


def parse_distribution(value: object) -> Distribution:
    """Check the dictionary; None is an empty one.

    Raises:
        SMDDPArgumentError: an unknown key, a value of the wrong type, more than one strategy, or options that mpirun
            cannot be given here.
    """
    root = _section({} if value is None else value, "", _STRATEGIES)
    outer = _section(root["smdistributed"], "smdistributed", ("dataparallel",)) if "smdistributed" in root else {}
    read: dict[str, _Section] = {}
    if "dataparallel" in outer:
        read["smdistributed.dataparallel"] = _read(outer["dataparallel"], "smdistributed.dataparallel", _WITH_OPTIONS)
    for name, keys in (("pytorchddp", _WITH_OPTIONS), ("torch_distributed", ("enabled",)), ("mpi", _MPI_KEYS)):
        if name in root:
            read[name] = _read(root[name], name, keys)
    return _combine(read)


def parse_framework_parameters(parameters: Mapping[str, object]) -> Distribution:
    """Read the strategy from hyperparameters whose JSON is decoded; other names than those of strategies are ignored.

    Raises:
        SMDDPArgumentError: as `parse_distribution`; the message names the hyperparameter.
    """
    read: dict[str, _Section] = {}
    for enabled, name, options in (
        (_DATAPARALLEL_ENABLED, "smdistributed.dataparallel", _DATAPARALLEL_OPTIONS),
        (_PYTORCHDDP_ENABLED, "pytorchddp", _DATAPARALLEL_OPTIONS),
        (_TORCH_ENABLED, "torch_distributed", ""),
        (_MPI_ENABLED, "mpi", _MPI_OPTIONS),
    ):
        if enabled in parameters:
            read[name] = _Section(
                enabled=_boolean(parameters[enabled], enabled),
                custom_mpi_options=_options(parameters.get(options, ""), options),
            )
    processes = parameters.get(_MPI_PROCESSES)
    if processes is not None:
        mpi = read.get("mpi", _Section(enabled=False))
        read["mpi"] = _Section(
            enabled=mpi.enabled,
            custom_mpi_options=mpi.custom_mpi_options,
            processes_per_host=_count(processes, _MPI_PROCESSES),
        )
    return _combine(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    enabled: bool
    custom_mpi_options: str = ""
    processes_per_host: int | None = None


_WITH_OPTIONS = ("enabled", "custom_mpi_options")
_MPI_KEYS = ("enabled", "processes_per_host", "custom_mpi_options")


def _read(value: object, path: str, keys: tuple[str, ...]) -> _Section:
    section = _section(value, path, keys)
    if "enabled" not in section:
        msg = f"{_ROOT}: {path} needs 'enabled', true or false"
        raise SMDDPArgumentError(msg)
    processes = section.get("processes_per_host")
    return _Section(
        enabled=_boolean(section["enabled"], f"{_ROOT}: {path}.enabled"),
        custom_mpi_options=_options(section.get("custom_mpi_options", ""), f"{_ROOT}: {path}.custom_mpi_options"),
        processes_per_host=None if processes is None else _count(processes, f"{_ROOT}: {path}.processes_per_host"),
    )


def _combine(read: Mapping[str, _Section]) -> Distribution:
    enabled = [name for name, section in read.items() if section.enabled]
    if len(enabled) > 1 and set(enabled) != {"smdistributed.dataparallel", "torch_distributed"}:
        msg = f"{_ROOT}: {' and '.join(enabled)} are enabled, but one job has one strategy: disable the others"
        raise SMDDPArgumentError(msg)
    mpi = read.get("mpi")
    return Distribution(
        dataparallel="smdistributed.dataparallel" in enabled or "pytorchddp" in enabled,
        torch_distributed="torch_distributed" in enabled,
        mpi="mpi" in enabled,
        custom_mpi_options=next((read[name].custom_mpi_options for name in enabled), ""),
        processes_per_host=None if mpi is None else mpi.processes_per_host,
    )


def _section(value: object, path: str, keys: tuple[str, ...]) -> Mapping[str, object]:
    where = f"{_ROOT}: {path}" if path else _ROOT
    if not isinstance(value, Mapping):
        msg = f"{where} must be a dictionary, not {_show(value)}"
        raise SMDDPArgumentError(msg)
    for key in value:
        if key not in keys:
            msg = f"{where} has an unknown key {key!r}{_advice(key, keys)}"
            raise SMDDPArgumentError(msg)
    return value


def _advice(key: object, keys: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(key), keys, n=1)
    return f": did you mean {near[0]!r}?" if near else f"; known here: {', '.join(keys)}"


def _boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        msg = f"{where} must be true or false, not {_show(value)}"
        raise SMDDPArgumentError(msg)
    return value


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{where} must be a whole number, at least 1, not {_show(value)}"
        raise SMDDPArgumentError(msg)
    return value


def _options(value: object, where: str) -> str:
    if not isinstance(value, str):
        msg = f"{where} must be one string, such as '-verbose -x NCCL_DEBUG=VERSION', not {_show(value)}"
        raise SMDDPArgumentError(msg)
    _split_options(value, where)
    return value


def _split_options(text: str, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        words = _without_toolkit_options(shlex.split(text))
    except ValueError as error:
        msg = f"{where}: {str(error).lower()} in {text!r}"
        raise SMDDPArgumentError(msg) from error
    for word in words:
        if word != "-x":
            _refuse_placement(word, where)
    try:
        return split_exports(words)
    except SMDDPArgumentError as error:
        msg = f"{where}: -x needs NAME or NAME=VALUE after it"
        raise SMDDPArgumentError(msg) from error


def _without_toolkit_options(words: list[str]) -> list[str]:
    """Return the words with the one option that is the toolkit's own, ``--NCCL_DEBUG LEVEL``, written for mpirun."""
    result: list[str] = []
    rest = iter(words)
    for word in rest:
        name, has_value, value = word.partition("=")
        if name == "--NCCL_DEBUG":
            result += ["-x", f"NCCL_DEBUG={value if has_value else next(rest, '')}"]
        else:
            result.append(word)
    return result


def _refuse_placement(word: str, where: str) -> None:
    try:
        split_exports((word,))
    except SMDDPArgumentError as error:
        msg = f"{where} holds {word}: leave it out, instance_count, processes_per_host and hosts say where ranks run"
        raise SMDDPArgumentError(msg) from error


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
