"""Every setting of smddp in one table, read from the environment once and checked.

The table is the documentation too: ``docs/config.md`` is made from it by ``python -m smddp.config``.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
import sys
from collections.abc import Mapping
from typing import Any

from smddp.alone import RECORD
from smddp.config_gpu import GPU_SETTINGS
from smddp.config_values import (
    Setting,
    choice_of,
    pages_up_to,
    parse_ipv4,
    parse_level,
    parse_ofi_provider,
    parse_port,
    parse_seconds,
    parse_text,
)
from smddp.errors import SMDDPConfigError

__all__ = ["SETTINGS", "Setting", "Settings", "read_settings", "render_table"]


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="SMDDP_TRANSPORT",
        field="transport",
        default="auto",
        parse=choice_of("auto", "shm", "tcp", "ofi", "inproc", "shm+tcp", "shm+ofi", "shm+inproc"),
        range="auto, shm, tcp, ofi, shm+ofi",
        help="How ranks reach each other. auto: shared memory inside a host, tcp between hosts. shm: shared memory "
        "only, several hosts are an error. tcp: tcp even inside a host. shm+ofi: as auto, with libfabric between "
        "hosts. ofi: libfabric even inside a host. (inproc: ranks are threads of one process; for tests.)",
    ),
    Setting(
        name="SMDDP_HOST_ID",
        field="host_id",
        default="",
        parse=parse_text,
        range="any text",
        help="Identity of this host. Ranks with equal identity share memory. Default: boot id and network namespace.",
    ),
    Setting(
        name="SMDDP_JOB_SECRET",
        field="job_secret",
        default="",
        parse=parse_text,
        range="any text",
        help="What the ranks' connections are authenticated with. smddprun makes one; otherwise rank 0 makes a "
        "random one and passes it through the framework's store.",
    ),
    Setting(
        name="SMDDP_STORE_PORT",
        field="store_port",
        default=0,
        parse=parse_port,
        range="1..65535",
        help="TCP port of the store that rank 0 serves when no framework brings one. Default: "
        "SMDATAPARALLEL_SERVER_PORT, else MASTER_PORT + 1; ranks known to share one host need none.",
    ),
    Setting(
        name="SMDDP_LISTEN_ADDRESS",
        field="listen_address",
        default="",
        parse=parse_ipv4,
        range="an IPv4 address",
        help="Address that the tcp transport listens on, and that libfabric's providers over IP use. Default: all "
        "interfaces.",
    ),
    Setting(
        name="SMDDP_SOCKET_IFNAME",
        field="socket_ifname",
        default="",
        parse=parse_text,
        range="eth,ib or =eth0,eth1 or ^docker or ^=eth2",
        help="Network interfaces that tcp, and libfabric's providers over IP, may use, in the grammar of "
        "NCCL_SOCKET_IFNAME: a list of prefixes; after = of names; after ^ of what to leave out. Large messages are "
        "spread over all of them; the i-th of a host talks to the i-th of others. Default: all that are up; bridges of "
        "containers and link-local addresses only if nothing else is up. With SMDDP_LISTEN_ADDRESS one is used.",
    ),
    Setting(
        name="SMDDP_STRIPE_BYTES",
        field="stripe_bytes",
        default=128 * 1024,
        parse=pages_up_to(1),
        range="4KiB..1MiB",
        help="What tcp sends over one network interface at a time where hosts have several: messages below it take one "
        "of them, longer ones are spread in pieces of this size. With ofi the least that a message is cut into.",
    ),
    Setting(
        name="SMDDP_TCP_CONGESTION",
        field="tcp_congestion",
        default="auto",
        parse=parse_text,
        range="auto, or what the system has: cubic, reno, dctcp, bbr",
        help="Congestion control of tcp's streams between hosts. auto: cubic where the system's is bbr, else the "
        "system's. bbr measures what is free and sends at that rate, and between ranks, which send together and in "
        "turns, it leaves up to a third of the line unused.",
    ),
    Setting(
        name="SMDDP_TOPOLOGY",
        field="topology",
        default="",
        parse=parse_text,
        range="a path, or an EC2 instance type",
        help="What every host of the job is taken for, as a TOML file (docs/topology.md) or by instance type; the same "
        "for all ranks. Default: what the lowest rank of each host finds there.",
    ),
    Setting(
        name="SMDDP_COSTS",
        field="costs",
        default="",
        parse=parse_text,
        range="a path",
        help="What messages between hosts take, as a TOML file that `smddp tune` writes (docs/tuning.md): with these "
        "costs algorithms between hosts are chosen. The same for all ranks, and on each host. Default: round numbers "
        "for tcp, and the speeds of the topology.",
    ),
    Setting(
        name="SMDDP_ORDER",
        field="order",
        default="canonical",
        parse=choice_of("canonical", "any"),
        range="canonical, any",
        help="In which order sums, averages and products of floating-point tensors may add between hosts. canonical: "
        "the same bits run after run, by every algorithm and for every size. any: also by ring and double_tree, whose "
        "order differs, and for float16 and bfloat16 by algorithms that round more than once.",
    ),
    Setting(
        name="SMDDP_PARTIALS",
        field="partials",
        default="native",
        parse=choice_of("native", "fp32"),
        range="native, fp32",
        help="What partial sums (also of averages and products) of float16 and bfloat16 tensors are between hosts; the "
        "same on all ranks. native: as the tensor, so that a result is rounded once inside the hosts and once between "
        "them. fp32: float32, rounded once in all, with the same bits on 1, 2 or 4 hosts of 8, 4 or 2 ranks; on the "
        "way to where they are added they take twice the bytes.",
    ),
    Setting(
        name="SMDDP_ALGORITHM",
        field="algorithm",
        default="",
        parse=parse_text,
        range="collective=algorithm, several with commas",
        help="Algorithms between hosts to use instead of those predicted to be the fastest, as in "
        "all_reduce=ring,broadcast=tree. Where one does not suit, or SMDDP_ORDER forbids it, the fastest is used, and "
        "rank 0 warns once.",
    ),
    Setting(
        name="SMDDP_OFI_PROVIDER",
        field="ofi_provider",
        default="auto",
        parse=parse_ofi_provider,
        range="auto, efa, verbs, tcp, tcp;ofi_rxm",
        help="Which provider of libfabric transport ofi uses; the same on all ranks. auto: the first of these that is "
        "there, those that FI_PROVIDER names before the others.",
    ),
    *GPU_SETTINGS,
    Setting(
        name="SMDDP_TIMEOUT",
        field="timeout",
        default=300.0,
        parse=parse_seconds,
        range="0.001..10000000 s",
        help="Deadline of operations, unless the program gives one. When it passes, every rank raises an error that "
        "names the missing ranks. (Through torch.distributed, a program that gives exactly torch's own default looks "
        "like one that gives none.)",
        framework_default="1800 in torch.distributed",
    ),
    Setting(
        name="SMDDP_SLOW_WARNING",
        field="slow_warning",
        default=10.0,
        parse=parse_seconds,
        range="0.001..10000000 s",
        help="After this much waiting one log line names the operation and the missing ranks.",
    ),
    Setting(
        name="SMDDP_LEAVE_GRACE",
        field="leave_grace",
        default=2.0,
        parse=parse_seconds,
        range="0.001..10000000 s",
        help="Longest time that destroying a group, or leaving the program, waits for operations that still run.",
    ),
    Setting(
        name="SMDDP_CHUNK_BYTES",
        field="chunk_bytes",
        default=256 * 1024,
        parse=pages_up_to(64),
        range="4KiB..64MiB",
        help="Shared-memory staging of each rank; two of these per rank and group.",
    ),
    Setting(
        name="SMDDP_MOVE_APART",
        field="move_apart",
        default="on",
        parse=choice_of("on", "off"),
        range="on, off",
        help="Whether a waiting rank that shares its processor with another rank of its group moves to one that has "
        "room, among those that its affinity mask allows. The mask stays as it is.",
    ),
    Setting(
        name="SMDDP_DEBUG",
        field="log_level",
        default="WARN",
        parse=parse_level,
        range="NONE, VERSION, WARN, INFO, TRACE",
        help="How much is logged. VERSION prints one line on rank 0.",
        aliases=("NCCL_DEBUG",),
    ),
    Setting(
        name="SMDDP_DEBUG_FILE",
        field="log_file",
        default="",
        parse=parse_text,
        range="a path; %h = host name, %p = process id",
        help="Where the log goes. Default: standard error.",
        aliases=("NCCL_DEBUG_FILE",),
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The values of SETTINGS; times in seconds, sizes in bytes.

    ``origins`` names, by field, the variable that a value comes from; defaults have no entry.
    """

    transport: str = "auto"
    host_id: str = ""
    job_secret: str = ""
    store_port: int = 0
    listen_address: str = ""
    socket_ifname: str = ""
    stripe_bytes: int = 128 * 1024
    tcp_congestion: str = "auto"
    topology: str = ""
    costs: str = ""
    order: str = "canonical"
    partials: str = "native"
    algorithm: str = ""
    ofi_provider: str = "auto"
    gpu_collectives: str = "auto"
    gpu_kernels: str = ""
    gpu_staging_bytes: int = 64 * 1024**2
    gpu_open_tensors: str = "on"
    tensorflow_gpu: str = "auto"
    nccl_library: str = ""
    nccl_min_ctas: int = 0
    nccl_max_ctas: int = 0
    nccl_cta_policy: str = "default"
    timeout: float = 300.0
    slow_warning: float = 10.0
    leave_grace: float = 2.0
    chunk_bytes: int = 256 * 1024
    move_apart: str = "on"
    log_level: str = "WARN"
    log_file: str = ""
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)


def _value(setting: Setting, environ: Mapping[str, str]) -> tuple[Any, str | None]:
    """The value and the variable it comes from, if any."""
    for name in (setting.name, *setting.aliases):
        text = environ.get(name, "")
        if not text:
            continue
        try:
            return setting.parse(text), name
        except ValueError as problem:
            if name != setting.name:
                continue  # another library's variable may hold what only that library understands
            msg = f"{name}={text}: {problem} ({setting.range})"
            raise SMDDPConfigError(msg) from None
    return setting.default, None


#: No settings, yet no typos: what scripts for the original library set (nothing here reads it), and our own record.
_OTHER_NAMES = ("SMDDP_AG_SCRATCH_BUFFER_SIZE_BYTES", "SMDDP_AG_SORT_BUFFER_SIZE_BYTES", RECORD)


def _warn_about_typos(environ: Mapping[str, str]) -> None:
    known = [setting.name for setting in SETTINGS] + list(_OTHER_NAMES)
    for name in environ:
        if not name.startswith("SMDDP_") or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        _warn(f"unknown environment variable {name}{hint}")


@functools.cache  # the environment is read for each process group, and once is enough
def _warn(text: str) -> None:
    print(f"smddp: WARN {text}", file=sys.stderr)


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads and checks the environment; raises SMDDPConfigError that names the variable, its value and its range."""
    _warn_about_typos(environ)
    values = {setting.field: _value(setting, environ) for setting in SETTINGS}
    origins = {field: name for field, (_, name) in values.items() if name is not None}
    return Settings(**{field: value for field, (value, _) in values.items()}, origins=origins)


def render_table() -> str:
    """``docs/config.md``: one row for each setting."""
    lines = [
        "# Configuration",
        "",
        "Made by `python -m smddp.config`; change the tables in `smddp/config.py` and `smddp/config_gpu.py` instead of "
        "this file.",
        "",
        "| variable | default | values | meaning |",
        "|---|---|---|---|",
    ]
    for setting in SETTINGS:
        also = f" Also read from `{'`, `'.join(setting.aliases)}`." if setting.aliases else ""
        default = f"`{setting.default}`" if setting.default not in ("", 0) else "(none)"
        default += f" ({setting.framework_default})" if setting.framework_default else ""
        lines.append(f"| `{setting.name}` | {default} | {setting.range} | {setting.help}{also} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render_table(), end="")
