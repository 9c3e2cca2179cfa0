"""A training step in TensorFlow with our gradients, beside TensorFlow's own strategy; run with -m perf."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest

from smddp.launch.machine import free_port

from support.jobs import BIN, REPOSITORY, run_job

pytestmark = [
    pytest.mark.perf,
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="tensorflow is not installed"),
]

SCRIPT = REPOSITORY / "tests" / "perf" / "cases" / "tensorflow_step.py"
#: Of the strategy's step, at its best; 2 ranks on this machine.
MOST_OF_STRATEGYS = 0.5
#: Largest difference of weights after the same steps. Without communication they are much farther away.
TOLERANCE = 1e-5


def test_step_takes_half_of_the_strategys_time() -> None:
    # A free port has a free one after it.
    words = [BIN / "smddprun", "-np", "2", sys.executable, SCRIPT, str(free_port())]
    job = run_job(words, timeout=300, env={"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}).check()
    measured = json.loads(job.last_line)
    alone, ours = measured.pop("alone"), measured.pop("smddp")
    name, best = min(measured.items(), key=lambda item: item[1]["ms"])
    exposed = [way["ms"] - alone["ms"] for way in (ours, best)]
    print("median step, ms:", ", ".join(f"{key} {way['ms']:.1f}" for key, way in measured.items()))
    print(
        f"smddp {ours['ms']:.1f} ms, MultiWorkerMirroredStrategy ({name}) {best['ms']:.1f} ms, without communication "
        f"{alone['ms']:.1f} ms: exposed {exposed[0]:.1f} and {exposed[1]:.1f} ms"
    )
    ratio = ours["ms"] / best["ms"]
    print(f"step: {ratio:.2f} of the strategy's (at most {MOST_OF_STRATEGYS})")
    assert alone["away"] > 100 * TOLERANCE
    assert all(way["away"] <= TOLERANCE for way in (ours, *measured.values())), measured
    assert ratio <= MOST_OF_STRATEGYS
