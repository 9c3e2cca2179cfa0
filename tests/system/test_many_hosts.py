"""Collectives on 2 to 8 hosts with 1 to 4 ranks each: right, the same bits on every placement, and no byte too many."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
from conformance.worlds import skip_without
from system.conftest import TRAINING

from support.netlab.lab import netlab
from support.netlab.spec import LabSpec
from support.processes import Template
from support.world import Ended, World

pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("hosts_possible")]

CASES = "system.rank_cases"
SECONDS = 130
#: Ranks of each host.
EVEN = [(ranks,) * hosts for hosts in (2, 3, 4, 8) for ranks in (1, 2, 4)]
UNEVEN = [(1, 3), (3, 1, 2), (2, 1, 4)]
#: Up to so many ranks the whole suite runs, above it so many cases of each collective.
WHOLE, SAMPLE = 8, 20
#: The same ranks on one host and on several, aligned: all but the last host have the same power of two of them.
ALIGNED = {6: [(6,), (4, 2), (2, 2, 2), (1,) * 6], 8: [(8,), (4, 4), (2, 2, 2, 2), (1,) * 8]}


def name_of(counts: Sequence[int]) -> str:
    even = len(set(counts)) == 1
    return f"{len(counts)}x{counts[0]}" if even else "+".join(map(str, counts))


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """Forks ranks that have NumPy, smddp and the cases imported already."""
    template = Template(CASES, "conformance.rank_cases")
    yield template
    template.close()


def run_well(counts: Sequence[int], template: Template, case: str, *arguments: str, **env: str) -> list[Ended]:
    """A case on hosts with so many ranks each; all must end well."""
    with (
        netlab(LabSpec(hosts=len(counts))) as lab,
        World(
            sum(counts), case, *arguments, starter=lab.forking(template), hosts=counts, env=env, seconds=SECONDS
        ) as world,
    ):
        ended = world.join()
        for rank in ended:
            assert rank.returncode == 0, f"rank {rank.rank}"
        return ended


def transport_of(counts: Sequence[int], between: str = "tcp") -> str:
    """Of ranks of several hosts."""
    return between if max(counts) == 1 else f"shm+{between}"


@pytest.mark.parametrize("counts", [*EVEN, *UNEVEN], ids=name_of)
@pytest.mark.parametrize("between", ["tcp", "ofi"])
def test_conformance(between: str, counts: tuple[int, ...], template: Template, seed: int) -> None:
    skip_without(between)
    most = 0 if sum(counts) <= WHOLE else SAMPLE
    arguments = (str(seed), ",".join(map(str, counts)), transport_of(counts, between), str(most))
    env = {"SMDDP_CHUNK_BYTES": "4KiB"}
    if between == "ofi":
        env |= {"SMDDP_TRANSPORT": "shm+ofi", "SMDDP_OFI_PROVIDER": "tcp"}
    for rank in run_well(counts, template, f"{CASES}:conformance", *arguments, **env):
        assert (rank.stdout.endswith("cases passed\n"), rank.stderr) == (True, ""), f"rank {rank.rank}"


@pytest.mark.parametrize("counts", [(2, 2), (1, 3), (1, 1, 1)], ids=name_of)
def test_public_interface(counts: tuple[int, ...], template: Template, seed: int) -> None:
    arguments = (str(seed), ",".join(map(str, counts)), transport_of(counts))
    for rank in run_well(counts, template, "conformance.rank_cases:all_collectives", *arguments):
        assert (rank.stdout, rank.stderr) == ("passed\n", ""), f"rank {rank.rank}"


@pytest.mark.parametrize("size", ALIGNED)
def test_aligned_placements_agree_with_one_host(size: int, template: Template, seed: int) -> None:
    told = [
        [rank.stdout for rank in run_well(counts, template, f"{CASES}:digests", str(seed))] for counts in ALIGNED[size]
    ]
    assert len(set(told[0])) == size, "each rank has a block of its own of reduce_scatter"
    assert told[1:] == told[:1] * (len(told) - 1)


def test_digits_training_gives_the_same_bits(torch_template: Template) -> None:
    bits = {}
    for counts in ((4,), (2, 2), (1, 1, 1, 1)):
        ended = run_well(counts, torch_template, f"{TRAINING}:plain", "")
        found = {(line["dtype"], line["bits"]) for rank in ended for line in map(json.loads, rank.stdout.splitlines())}
        assert len(found) == 2, "ranks end with different parameters"
        bits[counts] = found
    assert len(set(map(frozenset, bits.values()))) == 1, bits


@pytest.mark.parametrize("hosts", [2, 4])
def test_ranks_that_share_a_host_send_no_more_bytes(hosts: int, template: Template) -> None:
    nbytes = 16 << 20
    sent = {ranks: bytes_of_all_reduce((ranks,) * hosts, template, nbytes) for ranks in (1, 2, 4)}
    least = 2 * (hosts - 1) / hosts * nbytes
    print(", ".join(f"{ranks} ranks per host: {each / least:.4f} of the least" for ranks, each in sent.items()))
    assert least <= sent[1] <= 1.02 * least
    assert max(sent[2], sent[4]) <= 1.01 * sent[1]


def bytes_of_all_reduce(counts: Sequence[int], template: Template, nbytes: int) -> int:
    """Bytes that leave the host that sends most.

    The fewest of several times: on a busy machine the kernel takes some packets for lost and sends them again.
    """
    ended = run_well(counts, template, f"{CASES}:volume", str(nbytes), "6")
    return max(min(json.loads(rank.stdout)) for rank in ended)
