from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from smddp.errors import SMDDPArgumentError, SMDDPStateError
from smddp.launch import Job
from smddp.launch.job import PreparedJob
from smddp.launch.job_file import _placed, read_job_file
from smddp.launch.options import parse_options
from smddp.launch.spec import Host, Options
from smddp.launch.training import facts
from smddp.launch.training.paths import channel_paths, local_path

pytestmark = pytest.mark.timeout(60)

ENABLED = {"smdistributed": {"dataparallel": {"enabled": True}}}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "gpu_count", lambda: 0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a script and some data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").touch()
    return tmp_path


def prepare(job: Job, inputs: object = None) -> tuple[PreparedJob, Options, dict[str, Any]]:
    """A job's folder and command, without a process; what its smddprun reads, and what its ranks are given."""
    prepared = job.prepare(channel_paths(inputs), None)
    options = parse_options(prepared.argv[1:])
    ranks = json.loads((Path(prepared.run.job_dir) / "input/config/ranks.json").read_text(encoding="utf-8"))
    return prepared, options, ranks


def test_one_rank_without_a_strategy(here: Path) -> None:
    _, options, ranks = prepare(Job("src/train.py"))
    assert options.process_count == 1
    assert options.hosts == ()
    assert options.program[:2] == (sys.executable, "-I")
    assert options.program[-2:] == (sys.executable, "train.py")
    assert ranks["directory"] == str(here / "src")
    assert ranks["variables"]["SM_FRAMEWORK_PARAMS"] == "{}"


def test_whole_job(here: Path) -> None:
    options_text = "-verbose -x 'A=b c' -x HOME"
    job = Job(
        "train.py",
        source_dir="src",
        hyperparameters={"lr": 0.1, "n": 3, "name": "a b", "flag": True, "layers": (1, 2), "none": None},
        instance_count=2,
        instance_type="ml.p4d.24xlarge",
        distribution={"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": options_text}}},
        processes_per_host=3,
        environment={"TOKEN": "secret", "SM_HOSTS": "x", "A": "1"},
    )
    prepared, options, ranks = prepare(job, {"train": "data"})
    assert options.process_count == 6
    assert options.mpi_options == ("-verbose",)
    assert options.exports == ("HOME",)
    words = ["--flag", "True", "--layers", "[1, 2]", "--lr", "0.1", "-n", "3", "--name", "a b", "--none", ""]
    assert list(options.program[-len(words) :]) == words
    variables = ranks["variables"]
    assert (variables["TOKEN"], variables["A"]) == ("secret", "b c")
    assert "secret" not in " ".join(prepared.argv)
    assert json.loads(variables["SM_HOSTS"]) == ["algo-1", "algo-2"]
    assert [host["SM_CURRENT_HOST"] for host in ranks["hosts"]] == ["algo-1", "algo-2"]
    assert json.loads(variables["SM_USER_ARGS"]) == words
    assert json.loads(variables["SM_HPS"])["layers"] == [1, 2]
    assert (variables["SM_HP_LR"], variables["SM_HP_NONE"], variables["SM_HP_FLAG"]) == ("0.1", "", "true")
    assert json.loads(variables["SM_FRAMEWORK_PARAMS"])["sagemaker_distributed_dataparallel_enabled"] is True
    assert variables["PYTHONPATH"].split(os.pathsep)[0] == str(here / "src")
    assert variables["SM_CURRENT_INSTANCE_TYPE"] == "ml.p4d.24xlarge"


def test_folder(here: Path) -> None:
    prepared, _, ranks = prepare(Job("src/train.py"), {"train": "data", "one": Path("data/a")})
    base = Path(prepared.run.job_dir)
    assert base.parent == here / "smddp-jobs"
    assert base.name.startswith("train-")
    variables = ranks["variables"]
    assert [path.name for path in Path(variables["SM_CHANNEL_TRAIN"]).iterdir()] == ["a"]
    assert [path.name for path in Path(variables["SM_CHANNEL_ONE"]).iterdir()] == ["a"]
    assert json.loads(variables["SM_CHANNELS"]) == ["one", "train"]
    for name in ("SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR", "SM_OUTPUT_DIR", "SM_INPUT_CONFIG_DIR"):
        assert Path(variables[name]).is_dir()
    assert variables["SM_MODEL_DIR"] == prepared.run.model_dir
    # variables may be passwords
    assert stat.S_IMODE((base / "input/config/ranks.json").stat().st_mode) == 0o600


def test_host_list(here: Path) -> None:
    job = Job("src/train.py", hosts=["far-1", "localhost", "far-2"], distribution=ENABLED, processes_per_host=2)
    _, options, ranks = prepare(job)
    # mpirun begins here
    assert options.hosts == (Host("localhost", 2), Host("far-1", 2), Host("far-2", 2))
    assert options.process_count == 6
    assert json.loads(ranks["variables"]["SM_HOSTS"]) == ["localhost", "far-1", "far-2"]


@pytest.mark.parametrize(
    ("arguments", "gpus", "expected"),
    [
        ({"distribution": ENABLED}, 0, 1),
        ({"distribution": ENABLED}, 8, 8),
        ({}, 8, 1),
        ({"distribution": ENABLED, "processes_per_host": 3}, 8, 3),
        ({"distribution": {"mpi": {"enabled": True, "processes_per_host": 4}}}, 8, 4),
        ({"distribution": {"mpi": {"enabled": True, "processes_per_host": 4}}, "processes_per_host": 5}, 8, 5),
        ({"hosts": "a:4,b:4"}, 0, 4),
        ({"hyperparameters": {"sagemaker_mpi_enabled": True, "sagemaker_mpi_num_of_processes_per_host": 6}}, 8, 6),
    ],
)
def test_ranks_per_host(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], gpus: int, expected: int
) -> None:
    monkeypatch.setattr(facts, "gpu_count", lambda: gpus)
    assert Job("src/train.py", **arguments).processes_per_host == expected


def test_log_says_where_instances_run(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepare(Job("src/train.py", instance_count=2, processes_per_host=2))
    assert caplog.messages == ["no hosts are given, so all 4 ranks of 2 instances run on this machine"]
    caplog.clear()
    prepare(Job("src/train.py", distribution=ENABLED))
    assert caplog.messages == ["no GPU and one instance make one rank: give processes_per_host for more"]


@pytest.mark.parametrize(
    ("script", "files", "words"),
    [
        ("train.py", [], [sys.executable, "train.py", "--ab", "1"]),
        ("sub/train.py", [], [sys.executable, "sub/train.py", "--ab", "1"]),
        ("run.sh", ["setup.py"], ["/bin/sh", "-c", "./run.sh --ab 1"]),
        ("train.py", ["setup.py"], [sys.executable, "-m", "train", "--ab", "1"]),
        ("tool", [], ["/bin/sh", "-c", "./tool --ab 1"]),
    ],
)
def test_kinds_of_entry_points(here: Path, script: str, files: list[str], words: list[str]) -> None:
    for name in (script, *files):
        (here / "src" / name).parent.mkdir(exist_ok=True)
        (here / "src" / name).touch()
    _, options, _ = prepare(Job(script, source_dir="src", hyperparameters={"ab": 1}))
    assert list(options.program[-len(words) :]) == words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entry_point": "nothing.py"}, r"entry_point: there is no /.*/nothing.py"),
        ({"entry_point": ""}, "entry_point must name a script"),
        ({"entry_point": "/etc/passwd", "source_dir": "src"}, "must be a path inside source_dir"),
        ({"entry_point": "../src/train.py", "source_dir": "src"}, "must be a path inside source_dir"),
        ({"source_dir": "nowhere"}, "source_dir: there is no folder"),
        ({"source_dir": "s3://bucket/code.tar.gz"}, "source_dir is s3://bucket/code.tar.gz, but jobs of smddp read"),
        ({"output_path": "s3://bucket/out"}, "output_path is s3://bucket/out, but"),
        ({"hyperparameters": [1]}, "hyperparameters must be a dictionary, not list"),
        ({"hyperparameters": {"f": len}}, "hyperparameters: f is builtin_function_or_method, which JSON cannot hold"),
        ({"instance_count": 0}, "instance_count must be a whole number, at least 1, not 0"),
        ({"instance_count": "2"}, "instance_count must be a whole number, at least 1, not '2'"),
        ({"processes_per_host": -1}, "processes_per_host must be a whole number, at least 1, not -1"),
        ({"hosts": ["a", "b"], "instance_count": 3}, "instance_count is 3, but hosts has 2 names"),
        ({"hosts": "a:2,b:3"}, "hosts: the same number of ranks runs on each host"),
        ({"hosts": "a:2", "processes_per_host": 3}, "hosts: the same number of ranks"),
        ({"hosts": ["a b"]}, "hosts, line 1: 'a b' is not a host line"),
        ({"hosts": 3}, "hosts must be a list of names, not 3"),
        ({"environment": {"A=B": "1"}}, "environment: 'A=B' cannot be a variable's name"),
        ({"environment": {"A": "1\0"}}, "environment: 'A' .* zero byte"),
        ({"base_job_name": "no spaces"}, "base_job_name 'no spaces' must have 1 to 63 letters"),
        ({"distribution": {"mpi": {}}}, "distribution: mpi needs 'enabled'"),
    ],
)
def test_bad_arguments(here: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=message) as caught:
        Job(**{"entry_point": "train.py" if "source_dir" in arguments else "src/train.py", **arguments})
    assert "\n" not in str(caught.value)


def test_unknown_argument(here: Path) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'instance_counts'"):
        Job("src/train.py", instance_counts=2)  # type: ignore[call-arg]


def test_job_of_the_same_name(here: Path) -> None:
    job = Job("src/train.py")
    job.prepare({}, "one")
    with pytest.raises(SMDDPArgumentError, match="smddp-jobs/one is there already: give another job_name"):
        job.prepare({}, "one")


def test_fit_inside_a_rank(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SMDDPStateError, match="this process is rank 1 of 2"):
        Job("src/train.py").fit()
    assert not (here / "smddp-jobs").exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"train": "s3://b/x"}, "inputs: channel train is s3://b/x, but jobs of smddp read and write this machine"),
        ({"train": "nowhere"}, "inputs: channel train: there is no /"),
        ({"a/b": "data"}, "inputs: 'a/b' is no name for a channel"),
        ({"..": "data"}, r"inputs: '..' is no name for a channel"),
        ({"train": 3}, "inputs: channel train must be a path or a file:// URI, not 3"),
        ("", "inputs: channel training must be a path"),
    ],
)
def test_bad_inputs(here: Path, inputs: object, message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=message):
        channel_paths(inputs)


class TrainingInput:
    """As the SDK's."""

    def __init__(self, uri: str) -> None:
        self.config = {"DataSource": {"S3DataSource": {"S3Uri": uri}}}


def test_inputs(here: Path) -> None:
    assert channel_paths(None) == {}
    assert channel_paths("data") == {"training": here / "data"}
    assert channel_paths({"a": f"file://{here}/data"}) == {"a": here / "data"}
    assert channel_paths({"a": TrainingInput(f"file://{here}/data")}) == {"a": here / "data"}
    assert local_path("file:///a%20b", "x") == Path("/a b")


def test_job_file(here: Path) -> None:
    file = here / "job.json"
    file.write_text(json.dumps(ENABLED), encoding="utf-8")
    assert read_job_file(str(file)) == {"distribution": ENABLED}
    content = {"distribution": ENABLED, "instance_count": 2, "inputs": {"train": "data"}}
    file.write_text(json.dumps(content), encoding="utf-8")
    assert read_job_file(str(file)) == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"--distribution job.json: it is not JSON"),
        ("[1]", r"--distribution job.json: expected a dictionary, not \[1\]"),
        ('{"distributon": {}}', r"unknown key 'distributon': did you mean 'distribution'\?"),
        ('{"smdistribted": {}}', r"unknown key 'smdistribted': did you mean 'smdistributed'\?"),
        ('{"entry_point": "t.py"}', r"leave entry_point out of the file"),
        ("\udcff", r"--distribution job.json: "),
    ],
)
def test_bad_job_file(here: Path, text: str, message: str) -> None:
    Path("job.json").write_bytes(text.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(SMDDPArgumentError, match=message) as caught:
        read_job_file("job.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "settings", "expected"),
    [
        ("t.py", {"instance_count": 2}, {}),
        ("-np 6 t.py", {"instance_count": 2}, {"processes_per_host": 3}),
        ("-np 6 t.py", {"hosts": "a,b,c"}, {"processes_per_host": 2}),
        ("-np 6 t.py", {}, {"processes_per_host": 6}),
        ("-H a,b t.py", {"instance_count": 3}, {"hosts": "a,b", "instance_count": None}),
        ("-H a:2,b:2 t.py", {}, {"hosts": "a:2,b:2", "instance_count": None, "processes_per_host": None}),
        ("-H a:8,b:8 -np 4 t.py", {}, {"hosts": "a,b", "instance_count": None, "processes_per_host": 2}),
    ],
)
def test_command_line_comes_before_the_file(line: str, settings: dict[str, Any], expected: dict[str, Any]) -> None:
    assert _placed(parse_options(line.split()), settings) == expected


def test_no_job_file(here: Path) -> None:
    with pytest.raises(SMDDPArgumentError, match=r"--distribution job.json: cannot read it: No such file"):
        read_job_file("job.json")
