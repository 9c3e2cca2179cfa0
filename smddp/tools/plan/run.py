"""Asks planner and simulator, and shows what they say."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from smddp.costs.native import costs_between
from smddp.simulation.native import Call, Network
from smddp.tools.pictures import check_picture
from smddp.tools.plan.answer import answer
from smddp.tools.plan.costs import costs_of
from smddp.tools.plan.hosts import find_topology
from smddp.tools.plan.options import Options
from smddp.tools.plan.text import answer_dict, answer_lines

__all__ = ["plan"]


def plan(options: Options) -> int:
    """Show it; returns the exit code.

    Raises:
        SMDDPError: options that cannot be, or a file with a mistake.
    """
    check_picture(options.svg)
    call = Call(
        nbytes=options.nbytes,
        collective=options.collective,
        dtype=options.dtype,
        op=options.op,
        root=options.root,
    )
    network = Network(topology=find_topology(options), order=options.order, partials=options.partials)
    if options.costs is not None:
        costs = {options.transport: costs_of(options.costs, options.transport)}
        network = replace(network, costs=costs_between(network.topology, costs, options.transport))
    found = answer(call, network, timeline=options.svg is not None)
    if options.json:
        sys.stdout.write(json.dumps(answer_dict(found), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(answer_lines(found, explain=options.explain)) + "\n")
    if options.svg is not None:
        from smddp.tools.plan.picture import draw

        draw(options.svg, found)
    return 0
