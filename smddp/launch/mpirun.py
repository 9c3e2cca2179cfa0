"""From a `LaunchSpec` to the words of one mpirun command, in the dialect of the mpirun at hand. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from smddp.errors import SMDDPArgumentError, SMDDPConfigError
from smddp.launch.hosts import format_hosts
from smddp.launch.spec import Binding, Dialect, Host, LaunchSpec

__all__ = ["mpirun_argv", "order_hosts", "parse_dialect", "split_exports", "take_output_folder"]

_OPEN_MPI_VERSION = re.compile(r"\((?:Open MPI|OpenRTE)\)\s+v?(\d+)\.")
_HYDRA_MARKS = ("HYDRA", "Intel(R) MPI")

#: mpirun options that smddprun must know itself, because address and placement follow from them.
_OWN_OPTIONS = frozenset({"-n", "-np", "-c", "-H", "-host", "-hosts", "-hostfile", "-machinefile", "-f"})
_BINDING_OPTIONS = frozenset({"-bind-to"})
_MAPPING_OPTIONS = frozenset({"-map-by", "-rank-by", "-npernode", "-N", "-ppn", "-rankfile", "-rf"})

#: mpirun options that write the ranks' output to files: Open MPI 4's, which has log files of ours instead, and others.
_OUTPUT_FOLDER = "-output-filename"
_OUTPUT_PATTERNS = frozenset({"-outfile-pattern", "-errfile-pattern"})
_OUTPUT_TO_FILES = re.compile(r"(?:^|,)(?:dir|file)=")


def parse_dialect(version_text: str, mpirun: str) -> Dialect:
    """Tell the dialect from what ``mpirun --version`` prints.

    Raises:
        SMDDPConfigError: it is neither Open MPI nor a Hydra (MPICH, Intel MPI, MVAPICH).
    """
    open_mpi = _OPEN_MPI_VERSION.search(version_text)
    if open_mpi is not None:
        return Dialect.OPEN_MPI_5 if int(open_mpi.group(1)) >= 5 else Dialect.OPEN_MPI_4
    if any(mark in version_text for mark in _HYDRA_MARKS):
        return Dialect.HYDRA
    first_line = (version_text.strip().splitlines() or ["nothing"])[0]
    msg = f"{mpirun} --version says {first_line!r}: expected Open MPI or MPICH; name another with --mpirun"
    raise SMDDPConfigError(msg)


def split_exports(words: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split the words of ``--mpi-options`` into (options for mpirun, exports).

    ``-x NAME[=VALUE]`` is taken out: smddprun sets and forwards variables itself, the same way in every
    dialect (MPICH has no ``-x``; of two for one name Open MPI 4 takes the last and Open MPI 5 the first).

    Raises:
        SMDDPArgumentError: an option that must be given to smddprun itself, or ``-x`` without a name.
    """
    options: list[str] = []
    exports: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "-x":
            name = next(rest, "")
            if not name or name.startswith(("-", "=")):
                msg = "--mpi-options: -x needs NAME or NAME=VALUE after it"
                raise SMDDPArgumentError(msg)
            exports.append(name)
            continue
        if _one_dash(word) in _OWN_OPTIONS:
            msg = f"--mpi-options holds {word}: give it to smddprun itself (-np, -H, --hostfile)"
            raise SMDDPArgumentError(msg)
        options.append(word)
    return tuple(options), tuple(exports)


def take_output_folder(words: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Split options for mpirun into (the others, folder in which the ranks' output is wanted).

    mpirun must not write those files itself: what the ranks tell smddprun would be in them, and with Open MPI 5
    and MPICH nowhere else.

    Raises:
        SMDDPArgumentError: an option for files that smddprun cannot take over.
    """
    options: list[str] = []
    folder = None
    is_value = False
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, has_value, value = word.partition("=")
        option, value = _one_dash(name), value if has_value else following
        if is_value:
            is_value = False
        elif option == _OUTPUT_FOLDER:
            # after a colon: whether to print it, too, and whether to name a folder after the job
            folder = value.partition(":")[0]
            is_value = not has_value
        elif option in _OUTPUT_PATTERNS or (option == "-output" and _OUTPUT_TO_FILES.search(value)):
            msg = f"--mpi-options holds {word}: use --log-dir DIR of smddprun, which writes a file for each rank"
            raise SMDDPArgumentError(msg)
        else:
            options.append(word)
    if folder is not None and (not folder or folder.startswith("-")):
        msg = "--mpi-options: --output-filename needs a folder after it"
        raise SMDDPArgumentError(msg)
    return tuple(options), folder


def order_hosts(hosts: Sequence[Host], dialect: Dialect, own_names: Collection[str]) -> tuple[Host, ...]:
    """Return the hosts in the order in which this mpirun fills them; rank 0 is on the first.

    Open MPI 4 begins with the machine it runs on (one of ``own_names``), wherever that stands in the list.
    """
    if dialect is not Dialect.OPEN_MPI_4:
        return tuple(hosts)
    return tuple(sorted(hosts, key=lambda host: host.name not in own_names))


def mpirun_argv(spec: LaunchSpec) -> list[str]:
    """Return the whole command, ``argv[0]`` included."""
    placement = _hydra_options(spec) if spec.dialect is Dialect.HYDRA else _open_mpi_options(spec)
    # The assignments go through smddprun in the rank: no mpirun parses their values, and mpirun itself does
    # not get to feel them (an LD_PRELOAD, say).
    assigned = [word for name, value in spec.assignments for word in ("-x", f"{name}={value}")]
    return [
        spec.mpirun,
        *placement,
        *spec.mpi_options,
        *spec.rank_command,
        *_slots_words(spec),
        *_rank_words(spec),
        *assigned,
        "--",
        *spec.program,
    ]


def _open_mpi_options(spec: LaunchSpec) -> list[str]:
    given = {_one_dash(word) for word in spec.mpi_options}
    words = ["--allow-run-as-root"] if spec.run_as_root and "-allow-run-as-root" not in given else []
    # Ranks in order along the hosts, and threads free to move: a rank has engine and framework threads
    # besides its main one, and Open MPI's defaults would tie them all to one core.
    if not given & _BINDING_OPTIONS:
        words += ["--bind-to", "none"]
    maps_itself = bool(given & _MAPPING_OPTIONS)
    joined = spec.oversubscribe and spec.dialect is Dialect.OPEN_MPI_5 and not maps_itself
    if not maps_itself:
        words += ["--map-by", "slot:OVERSUBSCRIBE" if joined else "slot"]
    if spec.oversubscribe and not joined:
        words.append("--oversubscribe")
    words += ["-np", str(spec.process_count)]
    if spec.hosts:
        words += ["-H", format_hosts(spec.hosts)]
    return words + [word for name in spec.forwarded for word in ("-x", name)]


def _hydra_options(spec: LaunchSpec) -> list[str]:
    # Hydra starts as root, shares cores without asking, and forwards the whole environment by itself.
    words = ["-n", str(spec.process_count)]
    if spec.hosts:
        words += ["-hosts", format_hosts(spec.hosts)]
    return words


def _slots_words(spec: LaunchSpec) -> list[str]:
    """Open MPI 5 tells each rank the local size of the last host, so the wrapper gets to know them all."""
    maps_itself = any(_one_dash(word) in _MAPPING_OPTIONS for word in spec.mpi_options)
    if spec.dialect is not Dialect.OPEN_MPI_5 or len(spec.hosts) < 2 or maps_itself:
        return []
    return ["--slots", ",".join(str(host.slots or 1) for host in spec.hosts)]


def _rank_words(spec: LaunchSpec) -> list[str]:
    """What the wrapper in each rank is told."""
    words = ["--watch"] if spec.is_watched else []
    if spec.tag_output:
        words.append("--tag-output")
    if spec.log_folder is not None:
        words += ["--log-dir", spec.log_folder]
    if spec.binding is not Binding.NONE:
        words += ["--bind", spec.binding.value]
    return words


def _one_dash(word: str) -> str:
    """Return an option as every mpirun's older spelling has it: one dash, no ``=value``."""
    return "-" + word.lstrip("-").partition("=")[0] if word.startswith("-") else word
