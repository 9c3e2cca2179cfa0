"""What smddprun starts on each host of the job: gathers facts, or calls the other probes, and writes the result."""

from __future__ import annotations

import os
from collections.abc import Sequence

from smddp.errors import SMDDPArgumentError
from smddp.identity import read_identity
from smddp.tools.doctor.collect import collect_facts
from smddp.tools.doctor.facts import decode, encode
from smddp.tools.doctor.lines import send_result, unpack
from smddp.tools.doctor.pairs import Table, meet

__all__ = ["GATHER", "MEET", "run_probe"]

GATHER = "--probe"
MEET = "--meet"


def run_probe(words: Sequence[str]) -> int:
    """Do what `words` say: `--probe JSON`, or `--meet JSON` with the table of all probes; both packed.

    Raises:
        SMDDPArgumentError: the words are not the doctor's.
    """
    rank = read_identity(os.environ).rank
    try:
        given = unpack(words[1])
    except (IndexError, ValueError) as error:
        msg = f"{words[0]} is for smddp doctor itself: leave it out"
        raise SMDDPArgumentError(msg) from error
    if words[0] == GATHER:
        facts = collect_facts(os.environ, rank=rank, mpirun=given.get("mpirun"), quick=given["quick"])
        send_result(rank, encode(facts))
    else:
        send_result(rank, [encode(pair) for pair in meet(decode(Table, given), rank, os.environ)])
    return 0
