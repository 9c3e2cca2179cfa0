"""Writes docs/torch-parity.md: PyTorch's own distributed tests on smddp, beside gloo.

make parity         # runs the suite, which takes minutes
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from support.jobs import REPOSITORY
from upstream.known import KNOWN
from upstream.runs import BACKENDS, WORLD_SIZES, Run, Runs, run_all

__all__ = ["PAGE", "render"]

PAGE = REPOSITORY / "docs" / "torch-parity.md"

COLUMNS = [(backend, size) for backend in BACKENDS for size in WORLD_SIZES]
#: What unites tests that no backend runs, by a pattern of the reason; the first that matches counts.
SKIP_GROUPS = (
    ("Need CUDA devices, or try what only NCCL has", r"(?i)cuda|gpu|nccl"),
    ("Switched off by PyTorch for all backends", r"github\.com|flak"),
    ("Need software that our tests do not install", r""),
)

INTRO = """\
# PyTorch's own tests, beside gloo

Made by `make parity`; `.ci/run --all` checks that it says what the tests say.

PyTorch's wheel carries its tests of distributed backends: `torch.testing._internal.distributed.distributed_test`. We
run them on smddp and on gloo, with 2 and with 4 ranks of one machine, on CPU tensors. This page is of torch {version}.

Most tests are gated by the backend's name, and skip a backend that they do not know. For gloo the suite runs as it is.
For smddp it sees a name that equals "gloo" and "mpi" too (`tests/upstream/suite.py`): what is meant for gloo runs, and
so does what only the mpi backend has or is asked for: all_to_all, and sub-groups in worlds of fewer than 8 ranks. The
backend itself, `get_backend()` and the titles in profiles keep the name smddp, and the suite's checks of profiles are
switched on for it. No test is changed.
"""


def render(runs: Runs) -> str:
    """The page. Depends on outcomes and reasons of skips, never on times."""
    names = sorted(runs[COLUMNS[0]])
    tried = [name for name in names if any(runs[column][name].outcome != "skip" for column in COLUMNS)]
    tried_set = set(tried)
    parts = [
        INTRO.format(version=version("torch").partition("+")[0]),
        "## In numbers\n",
        *_table(("backend", "ranks", "pass", "fail", "skip"), (_count(runs, column) for column in COLUMNS)),
        "\n## Tests that run\n",
        *_table(
            ("test", *(f"{backend}, {size}" for backend, size in COLUMNS), "why"), (_row(runs, name) for name in tried)
        ),
        "\n## Tests that no backend runs here",
        *_skipped(runs["smddp", WORLD_SIZES[-1]], [name for name in names if name not in tried_set]),
    ]
    return "\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _count(runs: Runs, column: tuple[str, int]) -> list[str]:
    counts = Counter(_word(result.outcome) for result in runs[column].values())
    return [column[0], str(column[1]), *(str(counts[outcome]) for outcome in ("pass", "fail", "skip"))]


def _row(runs: Runs, name: str) -> list[str]:
    cells = [_word(runs[column][name].outcome) for column in COLUMNS]
    return [f"`{name}`", *cells, _why(runs, name)]


def _word(outcome: str) -> str:
    # The suite reports an assertion that failed in a rank as an error, as any other exception there.
    return "fail" if outcome == "error" else outcome


def _why(runs: Runs, name: str) -> str:
    """Why runs skipped the test, each reason once, and what we know about its failure."""
    results = [runs[column][name] for column in COLUMNS]
    skips = dict.fromkeys(result.reason for result in results if result.outcome == "skip")
    failures = [KNOWN[name]] if name in KNOWN else []
    return "; ".join([*skips, *failures])


def _skipped(run: Run, names: Sequence[str]) -> list[str]:
    """The names by group, and inside it by the reason that the run gives."""
    groups: dict[str, dict[str, list[str]]] = {title: {} for title, _ in SKIP_GROUPS}
    for name in names:
        reason = run[name].reason
        title = next(title for title, pattern in SKIP_GROUPS if re.search(pattern, reason))
        groups[title].setdefault(reason, []).append(name)
    lines = []
    for title, reasons in groups.items():
        if reasons:
            lines.append(f"\n### {title} ({sum(map(len, reasons.values()))})\n")
            lines += [f"* {reason}: {', '.join(f'`{name}`' for name in reasons[reason])}" for reason in sorted(reasons)]
    return lines


def main() -> None:
    """Run everything and write the page."""
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        PAGE.write_text(render(run_all(Path(folder))), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(REPOSITORY)}", file=sys.stderr)


if __name__ == "__main__":
    main()
