"""Time all_reduce on several hosts, beside gloo in the same run: `python -m tests.support.netlab.measure`, as root.

For each number of hosts, ranks on a host and size: the median time, the bus bandwidth of a host as a part of the line
rate, the bytes that left the host that sent most, as a multiple of the fewest possible, 2 (hosts - 1) / hosts times the
size, and how many processors all ranks together kept busy: with as many as the machine has, they are the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # tests/, as pytest has it

from smddp.tools.bench.options import parse_bytes

from support.netlab.lab import netlab, why_no_lab
from support.netlab.spec import LabSpec, parse_rate
from support.processes import Template
from support.world import World

__all__ = ["Figures", "Trial", "measure", "torch_template"]

SECONDS = 300.0
_MODULE = "support.netlab.all_reduces"
_CASE = f"{_MODULE}:measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What to measure: all_reduce of float32 arrays of these sizes (bytes), by backends of torch.distributed in turns.

    `rounds` is the samples of each, `env` variables for all ranks.
    """

    spec: LabSpec
    ranks_per_host: int
    sizes: Sequence[int]
    backends: Sequence[str] = ("gloo", "smddp")
    rounds: int = 5
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One backend at one size: medians over the rounds; see `all_reduces.measure` for what a round yields.

    `fastest` is the least time of a round: what else runs on the machine only adds.
    """

    hosts: int
    ranks_per_host: int
    backend: str
    nbytes: int
    rate: int | None  # of a host, all rails together, bits per second
    seconds: float
    fastest: float
    sent: float
    processor: float

    @property
    def fewest(self) -> float:
        """Bytes that each host sends at least."""
        return 2 * (self.hosts - 1) / self.hosts * self.nbytes

    @property
    def of_line(self) -> float | None:
        """Bus bandwidth of a host as a part of its line rate."""
        return None if self.rate is None else 8 * self.fewest / self.seconds / self.rate


@contextmanager
def torch_template() -> Iterator[Template]:
    """Forks the ranks of measurements."""
    template = Template("torch", _MODULE)
    try:
        yield template
    finally:
        template.close()


def measure(trial: Trial, template: Template) -> dict[tuple[str, int], Figures]:
    """Figures by backend and size; `template` is of `torch_template`."""
    spec, counts = trial.spec, (trial.ranks_per_host,) * trial.spec.hosts
    words = (",".join(trial.backends), ",".join(map(str, trial.sizes)), str(trial.rounds))
    with ExitStack() as stack:
        starter = stack.enter_context(netlab(spec)).forking(template)
        world = World(sum(counts), _CASE, *words, starter=starter, hosts=counts, env=trial.env, seconds=SECONDS)
        ended = stack.enter_context(world).join()
        assert all(rank.returncode == 0 for rank in ended), "a rank failed"
    rates = [rate for rate in spec.rails if rate is not None]
    found = [json.loads(line) for line in ended[0].stdout.splitlines()]
    return {
        (each["backend"], each["nbytes"]): Figures(
            hosts=spec.hosts,
            ranks_per_host=trial.ranks_per_host,
            backend=each["backend"],
            nbytes=each["nbytes"],
            rate=sum(rates) if len(rates) == len(spec.rails) else None,
            seconds=statistics.median(each["seconds"]),
            fastest=min(each["seconds"]),
            sent=statistics.median(each["sent"]),
            processor=statistics.median(each["processor"]),
        )
        for each in found
    }


#: Sizes below it are about latency: no part of a line.
_LARGE = 1 << 16
_COLUMNS = {
    "hosts x ranks": 13,
    "bytes": 10,
    "backend": 8,
    "median, us": 10,
    "of first": 8,
    "of line": 7,
    "sent": 6,
    "busy": 6,
}


def row(cells: Sequence[str]) -> str:
    """A row of the table."""
    return " ".join(cell.rjust(width) for cell, width in zip(cells, _COLUMNS.values(), strict=True))


def cells(figures: Figures, first: Figures) -> list[str]:
    """What a row says; `first` is the backend that the time is compared with."""
    large = figures.nbytes >= _LARGE
    return [
        f"{figures.hosts} x {figures.ranks_per_host}",
        str(figures.nbytes),
        figures.backend,
        f"{1e6 * figures.seconds:.0f}",
        f"{figures.seconds / first.seconds:.3f}",
        f"{figures.of_line:.3f}" if large and figures.of_line is not None else "",
        f"{figures.sent / figures.fewest:.2f}" if large else "",
        f"{figures.processor / figures.seconds:.2f}",
    ]


def numbers(text: str) -> list[int]:
    """From text like "2,4"."""
    return [int(word) for word in text.split(",")]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.netlab.measure", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("--hosts", type=numbers, default=[2, 4], metavar="N[,N...]", help="default: 2,4")
    parser.add_argument("--ranks-per-host", type=numbers, default=[1, 2, 4], metavar="N[,N...]", help="default: 1,2,4")
    parser.add_argument("--rate", type=parse_rate, default=10**9, help="line rate of each rail (default: 1gbit)")
    parser.add_argument("--rails", type=int, default=1, help="NICs of each host (default: 1)")
    parser.add_argument("--mtu", type=int, default=1500, help="default: 1500")
    parser.add_argument("--bytes", type=parse_bytes, nargs="+", default=[8, 16 << 20], help="sizes; default: 8 16M")
    parser.add_argument("--backends", nargs="+", default=["gloo", "smddp"], help="default: gloo smddp")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each backend and size (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    chosen = parser.parse_args()
    if reason := why_no_lab():
        parser.error(reason)
    return chosen


def main() -> None:
    chosen = options()
    written = []
    print(row(list(_COLUMNS)))
    with torch_template() as template:
        for hosts in chosen.hosts:
            spec = LabSpec(hosts=hosts, rails=(chosen.rate,) * chosen.rails, mtu=chosen.mtu)
            for ranks in chosen.ranks_per_host:
                trial = Trial(
                    spec=spec,
                    ranks_per_host=ranks,
                    sizes=chosen.bytes,
                    backends=chosen.backends,
                    rounds=chosen.rounds,
                )
                found = measure(trial, template)
                for (_, nbytes), figures in sorted(found.items(), key=lambda item: item[0][1]):
                    print(row(cells(figures, found[chosen.backends[0], nbytes])), flush=True)
                    written.append(asdict(figures))
    if chosen.json:
        chosen.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
