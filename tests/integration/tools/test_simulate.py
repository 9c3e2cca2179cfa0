"""The ``smddp simulate`` command, as users run it."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from pathlib import Path

import pytest

from support.jobs import BIN, Job, run_job

pytestmark = pytest.mark.timeout(120)


def simulate(*words: str | Path) -> Job:
    return run_job([BIN / "smddp", "simulate", *words], timeout=90)


def refusal(*words: str | Path) -> str:
    job = simulate(*words)
    assert (job.returncode, job.stdout) == (2, "")
    return job.stderr.splitlines()[-1]


SMALL = ("--instance", "p4d.24xlarge", "--hosts", "4", "--samples", "10")


def test_every_figure_is_a_band_and_says_that_it_is_simulated(tmp_path: Path) -> None:
    path = tmp_path / "step.svg"
    lines = simulate("--instance", "p4d.24xlarge", "--hosts", "64", "--samples", "20", "--svg", path).check()
    text = lines.stdout.splitlines()
    assert text[0] == "simulated: bert-large on 64 x p4d.24xlarge (512 GPUs)"
    rows = [line for line in text if line.endswith("  simulated")]
    assert len(rows) == 7
    assert text[-1].endswith("nothing of it is measured (docs/simulator.md).")
    picture = path.read_text(encoding="utf-8")
    xml.etree.ElementTree.fromstring(picture)
    assert "simulated: bert-large" in picture


def test_json_has_bands_spreads_and_their_sources() -> None:
    told = json.loads(simulate(*SMALL, "--json").check().stdout)
    assert told["simulated"] is True
    assert (told["hosts"], told["gpus"], told["parameters"]) == (4, 32, 336_226_108)
    assert sum(told["buckets"]) == 2 * told["parameters"]
    for band in told["bands"].values():
        assert band["p5"] <= band["p50"] <= band["p95"]
    assert all(spread["source"] for spread in told["spreads"].values())
    assert json.loads(simulate(*SMALL, "--json").check().stdout) == told
    assert json.loads(simulate(*SMALL, "--json", "--seed", "2").check().stdout)["bands"] != told["bands"]


@pytest.mark.parametrize("bucket", ["balanced", "best", "64MiB"])
def test_buckets(bucket: str) -> None:
    told = json.loads(simulate(*SMALL, "--model", "resnet-50", "--bucket", bucket, "--json").check().stdout)
    assert sum(told["buckets"]) == 2 * told["parameters"]


def test_costs_of_a_file_count_instead_of_the_instances(tmp_path: Path) -> None:
    path = tmp_path / "costs.toml"
    path.write_text("[transport.ofi]\nhop_us = 50_000\n", encoding="utf-8")
    usual = json.loads(simulate(*SMALL, "--json").check().stdout)["bands"]["step_s"]
    slow = json.loads(simulate(*SMALL, "--json", "--costs", path, "--transport", "ofi").check().stdout)
    assert slow["bands"]["step_s"]["p5"] > usual["p95"] + 0.05
    assert refusal(*SMALL, "--costs", path) == f"smddp: {path}: has costs of ofi, not of tcp; give --transport ofi"


def test_what_cannot_be_is_refused() -> None:
    assert refusal(*SMALL, "--model", "magic") == (
        "smddp: 'magic' is no model; choose one of bert-large, gpt2-xl, resnet-50"
    )
    assert refusal("--instance", "c7i.24xlarge", "--hosts", "4").startswith("smddp: c7i.24xlarge")
    assert refusal("--instance", "p4d.24xlarge", "--hosts", "1").startswith("smddp: --hosts 1: ")
    assert refusal(*SMALL, "--batch", "0") == "smddp: --batch 0: must be at least 1"
    assert refusal(*SMALL, "--bucket", "8") == "smddp: --bucket 8: must be at least 64 KiB"
