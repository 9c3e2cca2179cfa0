"""The ``smddp plan`` command, as users run it."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from pathlib import Path

import pytest

from smddp.topology import Topology, dumps, instance

from support.jobs import BIN, Job, run_job

pytestmark = pytest.mark.timeout(120)


def plan(*words: str | Path) -> Job:
    return run_job([BIN / "smddp", "plan", *words], timeout=60)


def refusal(*words: str | Path) -> str:
    job = plan(*words)
    assert (job.returncode, job.stdout) == (2, "")
    return job.stderr.splitlines()[-1]


def test_all_algorithms_are_explained() -> None:
    words = "--hosts 4 --ranks-per-host 2 --bytes 25MiB --rate 10gbit --explain"
    lines = plan(*words.split()).check().stdout.splitlines()
    assert lines[0] == ("all_reduce of 25 MiB float32, sum, order canonical: 4 hosts of 2 ranks, 10 Gbit/s each")
    assert lines[2].startswith("> mesh ")
    assert lines[2].endswith("  chosen")
    assert sum(line.startswith(">") for line in lines) == 1
    out = {line.split()[0]: line.partition("out: ")[2] for line in lines if "out: " in line}
    assert set(out) == {"ring", "double_tree"}
    assert out["ring"] == "order of sums: not the canonical one; SMDDP_ORDER=any allows it"
    assert lines[-1] == "Predicted by the planner's cost model; simulated: not measured (docs/simulator.md)."


def test_the_choice_alone() -> None:
    lines = plan("--bytes", "8").check().stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith(">")] == ["one_step"]
    assert "mesh" not in "".join(lines)


def test_json_says_why_by_shape_and_dtype() -> None:
    told = json.loads(plan("--hosts", "6", "--dtype", "bfloat16", "--json").check().stdout)
    assert (told["chosen"], told["hosts"], told["ranks"], told["bytes"]) == ("mesh", 6, 6, 25 << 20)
    by_name = {each["algorithm"]: each for each in told["algorithms"]}
    assert by_name["halving"]["excluded"] == "needs a power of two of hosts"
    assert by_name["doubling"]["excluded"].startswith("order of sums: rounds bfloat16 at every host")
    assert by_name["mesh"]["excluded"] is None
    assert by_name["mesh"]["predicted_s"] > 0
    assert by_name["mesh"]["simulated_s"] > 0


def test_partial_sums_in_float32_free_algorithms_and_cost_bytes() -> None:
    words = ["--hosts", "4", "--ranks-per-host", "2", "--dtype", "bfloat16", "--rate", "10gbit", "--json"]
    native, wide = (json.loads(plan(*words, "--partials", kind).check().stdout) for kind in ("native", "fp32"))
    assert (native["partials"], wide["partials"]) == ("native", "fp32")
    by_name = [{each["algorithm"]: each for each in told["algorithms"]} for told in (native, wide)]
    assert by_name[0]["doubling"]["excluded"].endswith("; SMDDP_PARTIALS=fp32 or SMDDP_ORDER=any allows it")
    assert by_name[1]["doubling"]["excluded"] is None
    for kind in ("predicted_s", "simulated_s"):
        assert 1.2 < by_name[1]["mesh"][kind] / by_name[0]["mesh"][kind] < 1.6
    assert "order canonical, partials fp32: 2 hosts" in plan("--partials", "fp32").check().stdout


def test_order_and_other_collectives() -> None:
    told = json.loads(plan("--hosts", "4", "--order", "any", "--json").check().stdout)
    assert all(each["excluded"] is None for each in told["algorithms"])
    told = json.loads(plan("--collective", "broadcast", "--hosts", "4", "--root", "2", "--json").check().stdout)
    assert told["chosen"] == "scatter_gather"


def test_uneven_hosts_an_instance_and_a_file(tmp_path: Path) -> None:
    told = json.loads(plan("--ranks-per-host", "2,1,4", "--json").check().stdout)
    assert (told["hosts"], told["ranks"]) == (3, 7)
    words = ("--hosts", "256", "--ranks-per-host", "8", "--bytes", "256MiB")
    assert "400 Gbit/s each" in plan("--instance", "p4d.24xlarge", *words).check().stdout
    path = tmp_path / "cluster.toml"
    path.write_text(dumps(Topology.uniform(instance("p3.16xlarge"), hosts=3, ranks_per_host=2)), encoding="utf-8")
    assert "3 hosts of 2 ranks, 25 Gbit/s each" in plan("--topology", path).check().stdout


def test_one_host_has_no_choice() -> None:
    lines = plan("--hosts", "1", "--ranks-per-host", "4", "--explain").check().stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith(">")] == ["native"]


def test_the_timeline_has_all_ranks(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    plan("--hosts", "3", "--ranks-per-host", "2", "--svg", path).check()
    text = path.read_text(encoding="utf-8")
    xml.etree.ElementTree.fromstring(text)
    assert all(f"<!-- rank {rank} -->" in text for rank in range(6))
    assert "simulated time" in text


def test_what_cannot_be_is_refused() -> None:
    assert refusal("--collective", "magic").startswith("smddp: 'magic' is no collective; choose one of all_reduce, ")
    assert refusal("--instance", "p4d.large").startswith("smddp: p4d.large is no instance type of the catalogue")
    assert refusal("--hosts", "0") == "smddp: --hosts 0: a job needs at least one"
    assert refusal("--hosts", "3", "--ranks-per-host", "1,2") == (
        "smddp: --hosts 3: --ranks-per-host has 2 numbers; give one, or one for each host"
    )
    assert refusal("--dtype", "complex64") == "smddp: sum is not defined on complex64"
    assert "no rate" in refusal("--rate", "fast")
    assert "no size" in refusal("--bytes", "many")
    assert refusal("--svg", "/nowhere/x.svg") == "smddp: /nowhere/x.svg: there is no folder /nowhere"
