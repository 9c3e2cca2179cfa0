"""What a failed job shows last."""

from __future__ import annotations

import re
import socket

import pytest

from support.processes import Template
from support.world import World

CASES = "integration.faults.cases.training"


@pytest.mark.parametrize("interface", ["until_step", "torch_until_step"])
def test_last_line_of_an_uncaught_error(torch_template: Template, interface: str) -> None:
    world = World(4, f"{CASES}:{interface}", "30", "1", "5", "_exit 4", starter=torch_template)
    with world:
        for rank in world.join([0, 2, 3]):
            expected = rf"SMDDPPeerLostError: rank {rank.rank} \({re.escape(socket.gethostname())}\): .*rank 1 \("
            assert re.match(expected, rank.last_line), rank.last_line
            assert "Traceback (most recent call last)" in rank.stderr
