"""Training jobs as processes: what their ranks find, how they fail, and that they leave nothing behind."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from integration.launch.helpers import Launcher, smddprun_command

from smddp.launch import Job, JobFailedError
from smddp.launch.spec import Options
from smddp.launch.training import facts

from support.jobs import hear_signals, run_job

pytestmark = pytest.mark.timeout(120)

ENABLED = {"smdistributed": {"dataparallel": {"enabled": True}}}

#: Sums the ranks, and leaves what it found where the job wants results.
SCRIPT = """
import json, os, sys
import numpy as np
import smddp

comm = smddp.init()
array = np.full(3, 2.0 ** comm.rank)
comm.all_reduce(array)
found = {"sum": array.tolist(), "cwd": os.getcwd(), "argv": sys.argv[1:], "env": dict(os.environ)}
path = os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], f"rank-{comm.rank}.json")
with open(path, "w") as file:
    json.dump(found, file)
print(f"rank {comm.rank} is done", flush=True)
smddp.shutdown()
if "--fail" in sys.argv and comm.rank == int(sys.argv[sys.argv.index("--fail") + 1]):
    raise ValueError(f"rank {comm.rank} does not like it")
"""

#: Tells its process number, and waits for ever.
WAITING = """
import os, signal
with open(os.environ["MEETING"], "w") as file:
    file.write(f"{os.getpid()}\\n")
signal.pause()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a script and data, on a machine without GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(facts, "gpu_count", lambda: 0)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "src" / "wait.py").write_text(WAITING, encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").touch()
    return tmp_path


def results(output_dir: str | Path, count: int) -> list[dict[str, object]]:
    folder = Path(output_dir) / "data"
    return [json.loads((folder / f"rank-{rank}.json").read_text(encoding="utf-8")) for rank in range(count)]


def test_ranks_find_what_the_toolkit_would_give_them(here: Path, launcher: Launcher) -> None:
    options = "-x 'NCCL_DEBUG=a b'"
    job = Job(
        "train.py",
        source_dir="src",
        hyperparameters={"lr": 0.5},
        instance_count=2,
        instance_type="ml.p4d.24xlarge",
        distribution={"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": options}}},
        processes_per_host=2,
        environment={"OF_THE_USER": "c 'd'"},
        launcher=Options(program=(), mpirun=launcher.mpirun),
    )
    run = job.fit({"train": "data"}, logs=False)
    assert run.exit_code == 0
    assert run.duration_s is not None
    assert run.duration_s > 0
    assert (Path(run.output_dir) / "success").read_bytes() == b""
    assert not (Path(run.output_dir) / "failure").exists()
    for rank, found in enumerate(results(run.output_dir, 4)):
        env = found["env"]
        assert isinstance(env, dict)
        assert found["sum"] == [15.0] * 3
        assert found["cwd"] == str(here / "src")
        assert found["argv"] == ["--lr", "0.5"]
        assert (env["RANK"], env["WORLD_SIZE"], env["LOCAL_WORLD_SIZE"]) == (str(rank), "4", "4")
        host = f"algo-{rank // 2 + 1}"
        assert (env["SM_CURRENT_HOST"], env["CURRENT_HOST"]) == (host, host)
        assert json.loads(env["SM_RESOURCE_CONFIG"])["current_host"] == host
        assert json.loads(env["SM_TRAINING_ENV"])["is_master"] is (rank < 2)
        assert (env["NCCL_DEBUG"], env["OF_THE_USER"]) == ("a b", "c 'd'")
        assert os.listdir(env["SM_CHANNEL_TRAIN"]) == ["images"]  # noqa: PTH208
        assert env["SM_MODEL_DIR"] == run.model_dir


def test_output_is_shown_and_kept(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Job("src/train.py", distribution=ENABLED, processes_per_host=2).fit()
    shown = capfd.readouterr().out
    assert sorted(shown.splitlines()) == ["rank 0 is done", "rank 1 is done"]
    kept = (Path(run.output_dir) / "log.txt").read_text(encoding="utf-8")
    assert sorted(kept.splitlines()) == ["rank 0 is done", "rank 1 is done"]


def test_failure(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = Job("src/train.py", hyperparameters={"fail": 1}, distribution=ENABLED, processes_per_host=2)
    with pytest.raises(JobFailedError, match=r"failed with exit code 1, see .*/output/failure") as caught:
        job.fit(job_name="failing", logs=None)
    assert capfd.readouterr() == ("", "")
    assert "ValueError: rank 1 does not like it" in str(caught.value)
    assert caught.value.exit_code == 1
    text = caught.value.failure_file.read_text(encoding="utf-8")
    assert caught.value.failure_file == here / "smddp-jobs/failing/output/failure"
    assert text.startswith("ExecuteUserScriptError:\nExitCode 1\nErrorMessage ")
    assert "ValueError: rank 1 does not like it" in text[:900]
    assert not (here / "smddp-jobs/failing/output/success").exists()


def test_fit_without_waiting(here: Path) -> None:
    run = Job("src/train.py", distribution=ENABLED, processes_per_host=2).fit(wait=False)
    assert run.exit_code is None
    assert run.wait() is run
    assert run.exit_code == 0
    assert [found["sum"] for found in results(run.output_dir, 2)] == [[3.0] * 3] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ranks_end_with_the_process_that_called_fit(here: Path, number: signal.Signals) -> None:
    meeting = here / "meeting"
    os.mkfifo(meeting)
    code = (
        "from smddp.launch import Job; import sys\n"
        "Job('src/wait.py', processes_per_host=2, environment={'MEETING': sys.argv[1]}).fit()\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(meeting)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )
    ranks: list[int] = []
    while len(ranks) < 2:
        with meeting.open(encoding="ascii") as told:  # until a rank comes
            ranks += [int(line) for line in told]
    handles = [os.pidfd_open(pid) for pid in ranks]
    caller.send_signal(number)
    _, said = caller.communicate()
    assert caller.returncode == -number if number is signal.SIGKILL else caller.returncode in (1, 130, -number), said
    for handle in handles:
        assert select.select([handle], [], [], 60)[0], "a rank still runs"
        os.close(handle)


# --- smddprun --distribution


def smddprun(*words: str) -> Sequence[str]:
    return [*smddprun_command(), *words]


def test_job_file_on_the_command_line(here: Path) -> None:
    content = {"distribution": ENABLED, "instance_count": 2, "hyperparameters": {"lr": 1}, "inputs": {"train": "data"}}
    (here / "job.json").write_text(json.dumps({**content, "job_name": "mine"}), encoding="utf-8")
    words = ("--distribution", "job.json", "-np", "4", "-x", "A=b c", "src/train.py", "--more")
    job = run_job(smddprun(*words), timeout=100, cwd=here).check()
    assert sorted(job.stdout.splitlines()) == [f"rank {rank} is done" for rank in range(4)]
    folder = here / "smddp-jobs/mine"
    assert f"the files of this job are in {folder}" in job.stderr
    for rank, found in enumerate(results(folder / "output", 4)):
        env = found["env"]
        assert isinstance(env, dict)
        assert found["cwd"] == str(here)
        assert found["argv"] == ["--lr", "1", "--more"]
        assert (env["SM_CURRENT_HOST"], env["A"]) == (f"algo-{rank // 2 + 1}", "b c")
    assert (folder / "output/success").exists()


def test_exit_code_and_failure_file_of_the_command(here: Path) -> None:
    (here / "job.json").write_text(json.dumps({"distribution": ENABLED, "job_name": "mine"}), encoding="utf-8")
    words = ("--distribution", "job.json", "-np", "2", "python", "src/train.py", "--fail", "0")
    job = run_job(smddprun(*words), timeout=100, cwd=here)
    assert job.returncode == 1
    assert "ValueError: rank 0 does not like it" in job.stderr
    assert "ValueError: rank 0" in (here / "smddp-jobs/mine/output/failure").read_text(encoding="utf-8")


def test_dry_run_prints_a_command_that_does_the_same(here: Path) -> None:
    (here / "job.json").write_text(json.dumps({**ENABLED, "mpi": {"enabled": False, "processes_per_host": 2}}))
    job = run_job(smddprun("--distribution", "job.json", "--dry-run", "src/train.py"), timeout=100, cwd=here).check()
    assert job.stderr == ""
    (folder,) = (here / "smddp-jobs").iterdir()
    assert not list((folder / "output/data").iterdir())
    run_job(["sh", "-c", job.stdout], timeout=100, cwd=here.parent).check()
    assert [found["sum"] for found in results(folder / "output", 2)] == [[3.0] * 3] * 2


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ({"distribution": {"mpi": True}}, ["src/train.py"], "distribution: mpi must be a dictionary, not True"),
        ({}, ["src/nothing.py"], "entry_point: there is no /.*/src/nothing.py"),
        ({}, ["true"], "with --distribution name the script itself: .*, not true"),
        (
            {"instance_count": 2},
            ["-np", "3", "src/train.py"],
            "-np 3: the ranks must be equally many on each of 2 host",
        ),
        ({"inputs": {"train": "s3://b"}}, ["src/train.py"], "inputs: channel train is s3://b, but jobs of smddp read"),
        ({"instance_counts": 2}, ["src/train.py"], "unknown key 'instance_counts': did you mean 'instance_count'"),
    ],
)
def test_mistakes_are_one_line(here: Path, content: dict[str, object], words: list[str], message: str) -> None:
    (here / "job.json").write_text(json.dumps(content), encoding="utf-8")
    job = run_job(smddprun("--distribution", "job.json", *words), timeout=60, cwd=here)
    assert (job.returncode, job.stdout) == (2, "")
    assert job.stderr.startswith("smddprun: ")
    assert job.stderr.count("\n") == 1
    assert re.search(message, job.stderr), job.stderr
    assert not (here / "smddp-jobs").exists()
