"""smddprun while its job runs, with every mpirun of this machine: what it says and does."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.launch.helpers import TIMEOUT_S, Launcher, another_host
from integration.launch.running import WAITS, argv, python, running, wait_until_gone

from smddp.launch.spec import Dialect

from support.jobs import hear_signals

pytestmark = pytest.mark.timeout(120)


def test_failure_is_summed_up_in_the_last_line(launcher: Launcher) -> None:
    code = "import os\nif os.environ['RANK'] == '1': raise ValueError('late')"
    done = launcher.outside("-np", "2", *python(code))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"smddprun: job failed after [\d.]+ s: rank 1 \(\S+, pid \d+\) exited with code 1: ValueError: late", last
    )
    assert "\x1e" not in done.stderr + done.stdout


def test_killed_rank_is_summed_up_with_the_operation(launcher: Launcher) -> None:
    code = (
        "import os, signal, numpy, smddp\n"
        "group = smddp.init()\n"
        "group.all_reduce(numpy.ones(3))\n"
        "if group.rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)  # lets the others say what they have seen\n"
        "group.all_reduce(numpy.ones(3))\n"
    )
    done = launcher.outside("-np", "3", *python(code))
    assert done.returncode == 128 + signal.SIGKILL
    last = done.stderr.splitlines()[-1]
    assert re.search(r"rank 1 \(\S+, pid \d+\) was killed by SIGKILL", last)
    victim = re.search(r"; rank [02] saw: SMDDPPeerLostError: rank [02] .* all_reduce #1", last)
    assert victim or "SMDDPPeerLostError" not in done.stderr, done.stderr


def test_good_job_says_nothing(launcher: Launcher) -> None:
    done = launcher.outside("-np", "2", *python("import sys; sys.stderr.write('one\\n')"))
    assert (done.returncode, done.stderr) == (0, "one\none\n")


def test_timeout(launcher: Launcher) -> None:
    with running(launcher, "--timeout", "2s") as (job, pids):
        assert job.wait(TIMEOUT_S) == 124
        assert job.stderr is not None
        last = job.stderr.read().splitlines()[-1]
        assert re.fullmatch(r"smddprun: job ended after [\d.]+ s by the timeout of 2 s", last)
        wait_until_gone(pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_everything(launcher: Launcher, number: signal.Signals) -> None:
    with running(launcher) as (job, pids):
        job.send_signal(number)
        assert job.wait(TIMEOUT_S) == 128 + number
        wait_until_gone(pids)


def test_what_nohup_ignores_stays_ignored(launcher: Launcher) -> None:
    with running(launcher, prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as (job, pids):
        job.send_signal(signal.SIGHUP)
        job.send_signal(signal.SIGTERM)
        assert job.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        wait_until_gone(pids)


def test_failure_on_another_host_is_summed_up(launcher: Launcher, tmp_path: Path) -> None:
    _, options = another_host(launcher, tmp_path)
    hosts = f"{socket.gethostname()}:1,other-host:2"
    code = "import os, sys\nif os.environ['RANK'] == '2': raise ValueError('late')\nsys.stdin.read()"
    done = launcher.outside("-H", hosts, "--mpi-options", options, *python(code))
    assert done.returncode == 1, done.stderr
    assert re.search(r"rank 2 \(\S+, pid \d+\) exited with code 1: ValueError: late\n$", done.stderr)


def on_terminal(launcher: Launcher, words: list[str], act: Callable[[int, bytes], None]) -> tuple[int, bytes]:
    """Run smddprun as a shell's foreground job on a terminal of its own; `act(terminal, output so far)` may type."""
    pid, terminal = pty.fork()
    if pid == 0:
        hear_signals()
        os.execvpe(words[0], words, dict(launcher.env))
    seen = b""
    try:
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the last process has closed it
                break
            if not piece:
                break
            seen += piece
            act(terminal, seen)
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def test_control_c(launcher: Launcher) -> None:
    typed = []

    def type_control_c(terminal: int, seen: bytes) -> None:
        if not typed and len(re.findall(rb"^\d+ \d+\r?$|\x1b\[K\d+ \d+\r?\n", seen, re.MULTILINE)) == 2:
            typed.append(os.write(terminal, b"\x03"))

    code, seen = on_terminal(launcher, argv(launcher, "-np", "2", *python(WAITS)), type_control_c)
    assert code == 130, seen
    assert re.search(rb"smddprun: job ended after [\d.]+ s by SIGINT\r?\n$", seen), seen
    wait_until_gone([int(number) for line in re.findall(rb"(\d+ \d+)\r?\n", seen) for number in line.split()])


def test_output_with_ranks_and_in_files(launcher: Launcher, tmp_path: Path) -> None:
    code = "import os, sys; r = os.environ['RANK']; print('out', r, flush=True); sys.stderr.write(f'err {r}\\n')"
    folder = tmp_path / "logs" / "of this job"
    done = launcher.outside("-np", "2", "--tag-output", "--log-dir", str(folder), *python(code))
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert (folder / f"rank-{rank}.log").read_text(encoding="utf-8") == f"out {rank}\nerr {rank}\n"
        for text, stream in (("out", done.stdout), ("err", done.stderr)):
            assert f"[{rank}] {text} {rank}\n" in stream
    assert "\x1e" not in done.stderr


def test_files_that_mpirun_is_asked_for_hold_only_what_ranks_print(launcher: Launcher, tmp_path: Path) -> None:
    code = "import os, sys; r = os.environ['RANK']; sys.stderr.write(f'err {r}\\n'); sys.exit(3 * int(r))"
    folder = tmp_path / "out"
    done = launcher.outside("-np", "2", "--mpi-options", f"--output-filename {folder}", *python(code))
    files = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert files == {f"rank-{rank}.log": f"err {rank}\n" for rank in (0, 1)}
    assert sorted(tmp_path.iterdir()) == [folder]
    first, *_, last = done.stderr.splitlines()
    assert first == f"smddprun: note: --output-filename {folder} is taken for --log-dir: " + (
        f"the output of rank N is in {folder}/rank-N.log"
    )
    assert done.returncode == 3
    assert re.search(r"rank 1 \(\S+, pid \d+\) exited with code 3", last)


def test_binding_shares_out_the_processors(launcher: Launcher) -> None:
    code = "import os; os.write(1, f'{sorted(os.sched_getaffinity(0))}\\n'.encode())"
    done = launcher.outside("-np", "2", "--bind", "core", *python(code))
    assert done.returncode == 0, done.stderr
    shares = [set(map(int, re.findall(r"\d+", line))) for line in done.stdout.splitlines()]
    assert set.union(*shares) == os.sched_getaffinity(0)
    if len(os.sched_getaffinity(0)) > 1:
        assert not set.intersection(*shares)


def test_mpirun_that_starts_nothing(launcher: Launcher) -> None:
    done = launcher.outside("-np", "2", "--mpi-options", "--no-such-option-at-all", *python("pass"))
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert re.search(r"mpirun exited with code \d+ before any rank had started; its message is above$", last)


def test_processes_that_outlive_a_rank_do_not_hold_up_the_job(launcher: Launcher) -> None:
    code = (
        "import subprocess; "
        "child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL, start_new_session=True); "
        "print(child.pid, flush=True)"
    )
    done = launcher.outside("-np", "1", *python(code))
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.returncode == 0


def test_job_goes_on_when_nobody_reads_its_errors(launcher: Launcher) -> None:
    code = "import sys; sys.stderr.write('x' * 300000); sys.exit(7)"
    job = subprocess.Popen(argv(launcher, "-np", "1", *python(code)), env=dict(launcher.env), stderr=subprocess.PIPE)
    assert job.stderr is not None
    job.stderr.close()
    assert job.wait(TIMEOUT_S) == 7


def test_stopped_and_continued(launcher: Launcher) -> None:
    with running(launcher) as (job, pids):
        job.send_signal(signal.SIGSTOP)
        while Path(f"/proc/{job.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "T":
            os.sched_yield()
        # So long that every wait with a deadline has passed it.
        time.sleep(1)
        job.send_signal(signal.SIGCONT)
        job.send_signal(signal.SIGTERM)
        assert job.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        wait_until_gone(pids)


@pytest.mark.slow
def test_timeout_when_nobody_reads_what_ranks_print(launcher: Launcher) -> None:
    code = "import sys\nwhile True: sys.stderr.write('x' * 100000)"
    command = argv(launcher, "-np", "1", "--timeout", "2", *python(code))
    job = subprocess.Popen(command, env=dict(launcher.env), stderr=subprocess.PIPE)
    try:
        assert job.wait(TIMEOUT_S) == 124
    finally:
        job.kill()
        job.communicate()


def test_user_signals_reach_the_ranks(launcher: Launcher) -> None:
    code = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "os.write(1, b'ready\\n')\n"
        "signal.sigwait([signal.SIGUSR1])\n"
        "os.write(1, b'got it\\n')"
    )
    job = subprocess.Popen(
        argv(launcher, "-np", "2", *python(code)), env=dict(launcher.env), stdout=subprocess.PIPE, text=True
    )
    try:
        assert job.stdout is not None
        assert [job.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        job.send_signal(signal.SIGUSR1)
        if launcher.dialect is Dialect.HYDRA:
            job.send_signal(signal.SIGTERM)  # MPICH's mpirun keeps such signals to itself
            assert job.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        else:
            assert job.wait(TIMEOUT_S) == 0
            assert job.stdout.read() == "got it\n" * 2
    finally:
        job.kill()
        job.communicate()


def test_tagged_lines_of_a_killed_rank_are_there(launcher: Launcher) -> None:
    code = "import os, signal; print('epoch 1'); os.kill(os.getpid(), signal.SIGKILL)"
    env = {name: value for name, value in launcher.env.items() if name != "PYTHONUNBUFFERED"}
    quiet = Launcher(mpirun=launcher.mpirun, dialect=launcher.dialect, smddprun=launcher.smddprun, env=env)
    done = quiet.outside("-np", "1", "--tag-output", *python(code))
    assert done.returncode == 128 + signal.SIGKILL
    assert "[0] epoch 1\n" in done.stdout
