"""Starting and ending with the older module: each test is a process, or a few, of its own."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import textwrap
from pathlib import Path

import pytest
from integration.compat.jobs import HEADER, SECONDS, run_alone, run_ranks

from support.jobs import run_job

pytestmark = pytest.mark.timeout(SECONDS + 30)

HOST = socket.gethostname()


def test_not_launched_is_a_world_of_one() -> None:
    run_alone(
        """
        assert not smdp.is_available()
        assert not smdp.is_initialized()
        assert smdp.get_local_rank() == 0
        smdp.init_process_group()
        assert smdp.is_initialized() and not smdp.is_available()
        assert (smdp.get_rank(), smdp.get_world_size(), smdp.get_local_rank()) == (0, 1, 0)
        tensor = torch.ones(2)
        smdp.all_reduce(tensor)
        assert tensor.tolist() == [1, 1]
        DistributedDataParallel(torch.nn.Linear(2, 2))(torch.ones(1, 2)).sum().backward()
        """
    )


@pytest.mark.parametrize(
    "env",
    [
        {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
        {
            "SMDATAPARALLEL_WORLD_RANK": "3",
            "SMDATAPARALLEL_WORLD_SIZE": "8",
            "SMDATAPARALLEL_LOCAL_RANK": "1",
        },
        {
            "OMPI_COMM_WORLD_RANK": "5",
            "OMPI_COMM_WORLD_SIZE": "8",
            "OMPI_COMM_WORLD_LOCAL_RANK": "1",
            "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
        },
    ],
    ids=["torchrun", "smdataparallel", "openmpi"],
)
def test_local_rank_before_init(env: dict[str, str]) -> None:
    assert run_alone("print(smdp.get_local_rank(), smdp.is_available())", **env) == "1 True\n"


def test_launched_as_the_only_rank_is_available() -> None:
    env = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}
    assert run_alone("print(smdp.is_available())", OMPI_COMM_WORLD_LOCAL_SIZE="1", **env) == "True\n"


def test_local_rank_is_not_guessed() -> None:
    code = """
        try:
            smdp.get_local_rank()
        except SMDDPStateError as error:
            print(error)
    """
    printed = run_alone(code, RANK="1", WORLD_SIZE="4", MASTER_ADDR="10.0.0.1", MASTER_PORT="1")
    assert printed.startswith(f"rank 1 ({HOST}): get_local_rank: ")
    assert "set LOCAL_RANK" in printed


def test_use_before_init_says_what_to_do() -> None:
    run_alone(
        f"""
        calls = [
            lambda: smdp.get_rank(),
            lambda: smdp.get_world_size(),
            lambda: smdp.all_reduce(torch.ones(1)),
            lambda: smdp.barrier(),
            lambda: smdp.destroy_process_group(),
            lambda: DistributedDataParallel(torch.nn.Linear(2, 2)),
        ]
        for call in calls:
            try:
                call()
            except SMDDPStateError as error:
                assert str(error).startswith("rank 0 ({HOST}): "), error
                assert "call init_process_group() first" in str(error), error
                assert isinstance(error, DistBackendError)
            else:
                raise AssertionError(call)
        """
    )


def test_nowhere_to_meet() -> None:
    code = """
        os.environ.pop("MASTER_PORT", None)
        try:
            smdp.init_process_group()
        except SMDDPConfigError as error:
            print(error)
            assert isinstance(error, DistBackendError)
    """
    printed = run_alone(code, RANK="1", WORLD_SIZE="4", MASTER_ADDR="127.0.0.1")
    assert printed.startswith(f"rank 1 ({HOST}): MASTER_PORT not set")


def test_another_backend_is_refused_and_smddp_is_adopted() -> None:
    run_alone(
        """
        import smddp.torch

        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        for call in (smdp.init_process_group, smdp.get_rank, smddp.torch.transport_name):
            try:
                call()
            except SMDDPStateError as error:
                assert str(error).startswith("rank 0 ("), error
                assert "gloo" in str(error) and "smddp" in str(error)
                assert isinstance(error, DistBackendError)
            else:
                raise AssertionError
        assert not smdp.is_initialized()
        torch.distributed.destroy_process_group()
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("smddp", store=store, rank=0, world_size=1)
        assert smdp.is_initialized()
        smdp.init_process_group()
        smdp.barrier()
        smdp.destroy_process_group()
        assert not smdp.is_initialized()
        smdp.init_process_group()
        smdp.barrier()
        """
    )


def test_every_argument_is_accepted() -> None:
    run_alone(
        """
        timeout = datetime.timedelta(seconds=7)
        forms = [
            ((), {}),
            ((), {"backend": "smddp"}),
            ((), {"backend": "smddp", "timeout": timeout}),
            ((), {"backend": "nccl", "init_method": "env://"}),
            (("smddp", "env://", timeout), {"world_size": 5, "rank": 3}),
            ((), {"timeout": "soon", "anything": object()}),
        ]
        for args, kwargs in forms:
            smdp.init_process_group(*args, **kwargs)
            assert smdp.get_world_size() == 1
            smdp.destroy_process_group()
        """
    )


@pytest.mark.parametrize("timeout", ["datetime.timedelta.max", "datetime.timedelta(microseconds=1)"])
def test_timeout_that_cannot_be_meant_stops_nobody(timeout: str) -> None:
    """In the first torch would overflow, within the second no ranks meet."""
    code = f"""
        warnings.simplefilter("ignore")
        smdp.init_process_group("nccl", timeout={timeout})
        tensor = torch.ones(3)
        smdp.all_reduce(tensor)
        print(tensor.tolist())
    """
    for rank in run_ranks(code, 2):
        assert (rank.returncode, rank.stdout) == (0, "[2.0, 2.0, 2.0]\n"), rank


def test_deprecation_is_told_once_by_rank_0() -> None:
    code = """
        smdp.init_process_group()
        smdp.barrier()
        smdp.init_process_group()
    """
    ranks = run_ranks(code, 2)
    assert [rank.returncode for rank in ranks] == [0, 0], ranks
    assert ranks[0].stderr.count("FutureWarning") == 1
    assert (
        "smdistributed.dataparallel.torch.dist is deprecated in the SageMaker distributed data parallel library v1.4.0+"
    ) in ranks[0].stderr
    assert (
        "Please use torch.distributed and specify 'smddp' as a backend when initializing process group as follows: "
        "torch.distributed.init_process_group(backend='smddp')"
    ) in ranks[0].stderr
    assert ranks[1].stderr == ""


def test_deprecation_is_not_told_again_after_leaving() -> None:
    run_alone(
        """
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(2):
                smdp.init_process_group()
                smdp.destroy_process_group()
        assert [warning.category for warning in told] == [FutureWarning], told
        """
    )


def test_timeout_is_honoured() -> None:
    """A rank that does not come is named when the deadline has passed, not minutes later."""
    code = """
        smdp.init_process_group(timeout=datetime.timedelta(seconds=2))
        smdp.barrier()
        if smdp.get_rank() == 1:
            import threading
            threading.Event().wait(8)
            os._exit(0)
        try:
            smdp.all_reduce(torch.ones(3))
        except SMDDPError as error:
            print("told", error)
        os._exit(0)
    """
    ranks = run_ranks(code, 2)
    assert "told" in ranks[0].stdout, ranks
    assert "rank 1" in ranks[0].stdout


def test_rank_that_dies_in_backward_is_named() -> None:
    code = """
        warnings.simplefilter("ignore")
        smdp.init_process_group()
        model = DistributedDataParallel(torch.nn.Sequential(*[torch.nn.Linear(9, 9) for _ in range(4)]))
        for step in range(3):
            if step == 2 and smdp.get_rank() == 1:
                model.module[1].weight.register_hook(lambda _: os._exit(7))
            model(torch.ones(2, 9)).sum().backward()
        print("went on")
    """
    ranks = run_ranks(code, 3)
    assert ranks[1].returncode == 7
    for survivor in (ranks[0], ranks[2]):
        last = survivor.stderr.strip().splitlines()[-1]
        assert survivor.returncode == 1, survivor
        assert survivor.stdout == ""
        assert "SMDDPPeerLostError" in last, survivor
        assert "rank 1" in last, survivor


def test_ranks_that_differ_are_told_both_sides() -> None:
    code = """
        warnings.simplefilter("ignore")
        smdp.init_process_group()
        try:
            smdp.all_reduce(torch.ones(4 + smdp.get_rank()))
        except SMDDPMismatchError as error:
            print(error)
    """
    for rank in run_ranks(code, 2):
        assert "all_reduce" in rank.stdout, rank
        assert "rank 0" in rank.stdout, rank
        assert "rank 1" in rank.stdout, rank


def test_failed_handle_leaves_the_tensor_alone() -> None:
    """Whichever way its end is seen, the failure keeps its class and the user's tensor its values."""
    code = """
        warnings.simplefilter("ignore")
        smdp.init_process_group()
        rank = smdp.get_rank()
        tensor = torch.arange(8 + 2 * rank, dtype=torch.float64).view(2, -1).t()
        before = tensor.clone()
        work = smdp.all_reduce(tensor, async_op=True)
        future = work.get_future()
        for wait in (future.wait, work.wait, work.get_future().wait):
            try:
                wait()
            except SMDDPMismatchError as error:
                assert isinstance(error, DistBackendError)
                assert str(error).startswith(f"rank {rank} ("), error
            else:
                raise AssertionError(wait)
        assert work.is_completed() and future.done()
        assert torch.equal(tensor, before)
        print("told")
    """
    for rank in run_ranks(code, 2):
        assert rank.stdout == "told\n", rank


def test_exit_without_destroy_is_quiet() -> None:
    code = """
        warnings.simplefilter("ignore")
        smdp.init_process_group()
        model = DistributedDataParallel(torch.nn.Linear(2, 2))
        model(torch.ones(1, 2)).sum().backward()
    """
    for rank in run_ranks(code, 3):
        assert (rank.returncode, rank.stdout, rank.stderr) == (0, "", ""), rank


# --- Timeline ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ending"),
    [("timeline.json", "sdp.stop_profiler()"), ("timeline.json.gz", "")],
    ids=["stopped", "exit compressed"],
)
def test_timeline(tmp_path: Path, name: str, ending: str) -> None:
    code = """
        import smdistributed.dataparallel as sdp
        smdp.init_process_group()
        sdp.start_profiler(sys.argv[1])
        try:
            sdp.start_profiler(sys.argv[1])
        except SMDDPStateError as error:
            assert "stop_profiler() first" in str(error)
        smdp.all_reduce(torch.ones(1000))
    """
    code = HEADER + textwrap.dedent(code) + ending
    path = tmp_path / name
    run_job([sys.executable, "-W", "ignore", "-c", code, path], timeout=SECONDS).check()
    text = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    events = json.loads(text)["traceEvents"]
    assert any("all_reduce" in event.get("name", "") or "allreduce" in event.get("name", "") for event in events)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_timeline_per_rank(tmp_path: Path) -> None:
    code = f"""
        import smdistributed.dataparallel as sdp
        sdp.start_profiler({str(tmp_path / "t.json")!r}, append_rank=True)
        sdp.stop_profiler()
        try:
            sdp.stop_profiler()
        except SMDDPStateError as error:
            print("not running")
        try:
            sdp.start_profiler("/nowhere/t.json")
        except SMDDPArgumentError as error:
            print(error)
    """
    printed = run_alone(code, RANK="3", WORLD_SIZE="4")
    assert printed == "not running\nstart_profiler: /nowhere is not a directory\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.rank3.json"]
