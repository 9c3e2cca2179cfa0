from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from support.processes import Template
from support.world import World

#: `outcome("both:module", case, hosts)`: raises AssertionError with what the ranks had to say if the case failed.
Outcome = Callable[[str, str, list[int]], None]
#: By rank and name of the case: the error's text, or None.
Outcomes = list[dict[str, str | None]]

MODULE_SECONDS = 100.0
#: Small, so that small tensors already take many rounds.
CHUNK_BYTES = "4KiB"


@pytest.fixture(scope="session")
def _layers_template() -> Iterator[Template]:
    template = Template(
        "torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook",
        "torch.distributed.checkpoint.state_dict",
        "torch.distributed.fsdp",
        "torch.distributed.optim",
        "torch.distributed.pipelining",
        "torch.distributed.tensor.parallel",
        "torch._dynamo",
        "integration.torch.layers.runner",
    )
    yield template
    template.close()


@pytest.fixture(scope="session")
def outcome(_layers_template: Template, seed: int) -> Outcome:
    """Runs all cases of a module in one world, when the first of them is asked for."""
    known: dict[tuple[str, tuple[int, ...]], Outcomes | str] = {}

    def ask(module: str, case: str, hosts: list[int]) -> None:
        key = module, tuple(hosts)
        if key not in known:
            known[key] = _run(_layers_template, module, hosts, seed)
        outcomes = known[key]
        assert not isinstance(outcomes, str), outcomes
        errors = [f"--- rank {rank}:\n{of_rank[case]}" for rank, of_rank in enumerate(outcomes) if of_rank[case]]
        assert not errors, "\n".join(errors)

    return ask


def _run(template: Template, module: str, hosts: list[int], seed: int) -> Outcomes | str:
    """Outcomes by rank, or why the world as a whole failed."""
    how, _, name = module.partition(":")
    places = hosts if len(hosts) > 1 else ()
    env = {"SMDDP_CHUNK_BYTES": CHUNK_BYTES}
    path = f"integration.torch.layers.runner:{how}"
    with World(
        sum(hosts), path, name, str(seed), starter=template, hosts=places, env=env, seconds=MODULE_SECONDS
    ) as world:
        try:
            ended = world.join()
        except AssertionError as problem:
            return f"{problem}\n{world.report()}"
        lines = [[json.loads(line) for line in rank.stdout.splitlines() if line.startswith("{")] for rank in ended]
        outcomes = [{line["case"]: line["error"] for line in of_rank} for of_rank in lines]
        # A case that fails makes others late, and the engine says so; else it has nothing to say.
        warned = not any(any(of_rank.values()) for of_rank in outcomes) and any("smddp: " in r.stderr for r in ended)
        return world.report() if warned or any(rank.returncode != 0 for rank in ended) else outcomes
