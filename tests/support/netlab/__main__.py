"""A network laboratory by hand: `python -m tests.support.netlab --help`, as root."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # tests/, as pytest has it

from support.netlab.lab import Lab, netlab, why_no_lab
from support.netlab.run import run_ranks
from support.netlab.spec import LabSpec, parse_rate

EPILOG = """examples:
  python -m tests.support.netlab --hosts 4 --ranks-per-host 2 --rate 1gbit -- python examples/01_allreduce_numpy.py
  python -m tests.support.netlab --hosts 3 --ranks-per-host 2,1,4 --rails 2 --rate 1gbit,500mbit -- python train.py
  python -m tests.support.netlab --hosts 2          (a shell in host 0; everything ends with it)
"""


def rates(text: str) -> list[int]:
    """Rates from text like "1gbit,500mbit"."""
    try:
        return [parse_rate(word) for word in text.split(",")]
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def counts(text: str) -> list[int]:
    """Numbers from text like "2,1,4"."""
    return [int(word) for word in text.split(",")]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tests.support.netlab",
        description="Make hosts of namespaces of this machine, and run a command on all ranks or a shell in host 0.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--hosts", type=int, default=2, help="number of hosts (default: 2)")
    made.add_argument(
        "--ranks-per-host", type=counts, default=[1], metavar="N[,N...]", help="for all hosts or for each"
    )
    made.add_argument("--rails", type=int, default=1, help="number of NICs of each host (default: 1)")
    made.add_argument("--rate", type=rates, metavar="RATE[,RATE...]", help="line rate of all rails or of each: 1gbit")
    made.add_argument("--mtu", type=int, default=1500, help="largest frame without its header, bytes (default: 1500)")
    made.add_argument("command", nargs="*", help="runs once per rank, with the variables that torchrun sets")
    return made


def for_each(given: list[int], number: int, name: str) -> list[int]:
    """One value for each of `number` things; ValueError if there are neither one nor so many."""
    if len(given) not in (1, number):
        raise ValueError(f"{name}: give one value or {number}")
    return given * number if len(given) == 1 else given


def spec_of(options: argparse.Namespace) -> LabSpec:
    rails = for_each(options.rate, options.rails, "--rate") if options.rate else [None] * options.rails
    return LabSpec(hosts=options.hosts, rails=tuple(rails), mtu=options.mtu)


def summary(spec: LabSpec) -> str:
    """What the hosts are called and where they are, for people."""
    lines = [
        f"{name}  " + "  ".join(f"{nic} {spec.address(host, rail)}" for rail, nic in enumerate(spec.nics))
        for host, name in enumerate(spec.names)
    ]
    enough = "no limit"
    rail_rates = ", ".join(enough if rate is None else f"{rate / 1e6:g} Mbit/s" for rate in spec.rails)
    return "\n".join([*lines, f"line rate by rail: {rail_rates}; MTU {spec.mtu}"])


def shell(lab: Lab) -> int:
    """Let the user work in host 0, and say how to enter the others."""
    print(summary(lab.spec))
    for host, name in enumerate(lab.spec.names):
        print(f"enter {name}: {' '.join(lab.enter(host))} $SHELL", flush=True)
    return subprocess.run(lab.enter(0, os.environ.get("SHELL", "sh")), check=False).returncode


def main() -> int:
    made = parser()
    options = made.parse_args()
    try:
        spec = spec_of(options)
        ranks = for_each(options.ranks_per_host, spec.hosts, "--ranks-per-host")
    except ValueError as problem:
        made.error(str(problem))
    if reason := why_no_lab():
        made.error(reason)
    with netlab(spec) as lab:
        return run_ranks(lab, ranks, options.command) if options.command else shell(lab)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
