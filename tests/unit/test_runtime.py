"""The framework-free interface in a world of one: what it refuses, and in which words."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import smddp
from smddp import _core, runtime
from smddp.dtypes import DTYPES, OPS
from smddp.errors import SMDDPArgumentError, SMDDPConfigError, SMDDPStateError
from smddp.identity import read_identity
from smddp.launch.ports import job_port

from support.jobs import run_job

pytestmark = pytest.mark.timeout(60)

PREFIX = f"rank 0 ({socket.gethostname()}): "


@pytest.fixture
def world() -> Iterator[Any]:
    """Untyped, because these tests pass what no type allows."""
    yield smddp.init()
    smddp.shutdown()


def refusal(call: Callable[[], object], kind: type[Exception] = SMDDPArgumentError) -> str:
    """What the message says after its prefix."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(PREFIX)
    assert "\n" not in message
    return message.removeprefix(PREFIX)


def test_lists_are_no_arrays(world: Any) -> None:
    array = np.ones(4)
    for call in (
        lambda: world.all_reduce([1.0]),
        lambda: world.all_gather(array, [1.0]),
        lambda: world.reduce_scatter(array, [1.0]),
        lambda: world.all_to_all(array, [1, 2]),
        lambda: world.gather(array, [1.0]),
        lambda: world.scatter(array, [1.0]),
    ):
        assert refusal(call) == "array: expected a numpy.ndarray, got list"
    for call in (
        lambda: world.all_gather([0.0] * 4, array),
        lambda: world.reduce_scatter([0.0] * 4, array),
        lambda: world.all_to_all([0.0] * 4, array),
        lambda: world.gather([0.0] * 4, array),
        lambda: world.scatter([0.0] * 4, array),
    ):
        assert refusal(call) == "output: expected a numpy.ndarray, got list"


@pytest.mark.parametrize("name", [name for name in DTYPES if name in np.sctypeDict and "complex" not in name])
def test_plain_arrays_take_the_short_way(world: Any, name: str) -> None:
    array = np.array([1, 0, 1]).astype(name)
    ops = [op for op in OPS if _core.is_defined(OPS[op], DTYPES[name])]
    assert all(world._all_reduce_now(array, array, op, None) for op in ops)
    assert not any(world._all_reduce_now(array, array, op, None) for op in OPS if op not in ops)
    assert world._all_reduce_now(array, array, "".join(["m", "ax"]), None)  # no literal
    np.testing.assert_array_equal(array, np.array([1, 0, 1]).astype(name))


@pytest.mark.parametrize("collective", ["reduce", "broadcast", "all_gather", "reduce_scatter", "all_to_all"])
def test_every_collective_has_a_short_way(world: Any, collective: str) -> None:
    now = getattr(world, f"_{collective}_now")
    source = np.array([1.0, 2.0, 3.0])
    in_place = collective in ("reduce", "broadcast")
    target = source if in_place else np.zeros(3)
    assert now(target, source, "sum", 0)
    np.testing.assert_array_equal(target, [1.0, 2.0, 3.0])
    assert not now(np.zeros(4), source, "sum", 0)
    assert not now(np.zeros(3, np.float32), source, "sum", 0)
    assert now(target, source, "median", 0) is (collective in ("broadcast", "all_gather", "all_to_all"))
    for root in (-1, 1, 2**70, None, "0", np.int64(0)):
        assert now(target, source, "sum", root) is not in_place
    with pytest.raises(TypeError):
        now(target, source)


@pytest.mark.parametrize("name", ["complex64", "complex128"])
def test_complex_numbers_move(world: Any, name: str) -> None:
    array = np.array([1 - 2j, 3j]).astype(name)
    output = np.zeros(2, name)
    assert world._all_gather_now(output, array, None, None)
    np.testing.assert_array_equal(output, array)
    world.scatter(output, array * 2)
    np.testing.assert_array_equal(output, array * 2)
    assert refusal(lambda: world.all_reduce(array)) == f"all_reduce: op sum is not defined on {name}"


def test_everything_else_takes_the_general_way(world: Any) -> None:
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for array in (None, [1.0], frozen, np.ones((4, 4))[:, :2], np.ones(3, ">f4"), np.ones(3, np.longdouble)):
        assert world._all_reduce_now(array, array, "sum", None) is False
    assert world._all_gather_now(np.ones(3), frozen, None, None) is True  # only read
    for op in ("median", None, ["sum"]):
        assert world._all_reduce_now(np.ones(3), np.ones(3), op, None) is False


@pytest.mark.parametrize("op", ["median", ["sum"], None, 3, {}], ids=repr)
def test_bad_operation(world: Any, op: object) -> None:
    text = refusal(lambda: world.all_reduce(np.ones(2), op=op))
    assert text == f"op {op!r} is not one of sum, product, min, max, average, and, or, xor"


@pytest.mark.parametrize("root", ["x", None, 0.0, [0], -1, 1, 2**70], ids=repr)
def test_bad_root(world: Any, root: object) -> None:
    for call in (
        lambda: world.broadcast(np.ones(2), root=root),
        lambda: world.reduce(np.ones(2), root=root),
        lambda: world.gather(np.ones(2), np.ones(2), root=root),
        lambda: world.scatter(np.ones(2), np.ones(2), root=root),
    ):
        assert refusal(call) == f"root: expected a rank from 0 to 0, got {root!r}"


def test_gather_and_scatter_of_the_wrong_size(world: Any) -> None:
    text = refusal(lambda: world.gather(np.zeros(3), np.ones(4)))
    assert text == "output must have 4 elements of float64, but has 3 of float64"
    text = refusal(lambda: world.scatter(np.zeros(4), np.ones(4, np.float32)))
    assert text == "array must have 4 elements of float64, but has 4 of float32"
    assert refusal(lambda: world.gather(None, np.ones(4))) == "output: expected a numpy.ndarray, got NoneType"
    assert refusal(lambda: world.scatter(np.ones(4), None)) == "array: expected a numpy.ndarray, got NoneType"
    output = np.zeros(4)
    output.flags.writeable = False
    assert refusal(lambda: world.gather(output, np.ones(4))).startswith("output is read-only")
    assert refusal(lambda: world.scatter(output, np.ones(4))).startswith("output is read-only")


def test_numbers_of_numpy_are_numbers(world: Any) -> None:
    array = np.ones(2)
    world.broadcast(array, root=np.int64(0))
    assert world.all_reduce(array, async_op=True).wait(np.float32(30))
    assert array.tolist() == [1, 1]


@pytest.mark.parametrize("timeout", [-1, "x", math.nan, math.inf, timedelta(seconds=1)], ids=repr)
def test_bad_timeouts(world: Any, timeout: object) -> None:
    work = world.barrier(async_op=True)
    assert refusal(lambda: work.wait(timeout)) == f"timeout: expected seconds from 0 to 10000000, got {timeout!r}"
    assert work.wait()
    smddp.shutdown()
    init: Any = smddp.init
    text = refusal(lambda: init(timeout=timeout))
    assert text == f"timeout: expected seconds from 0.001 to 10000000, got {timeout!r}"
    assert not smddp.is_initialized()


def test_init_twice(world: Any) -> None:
    assert refusal(smddp.init, SMDDPStateError).startswith("init() called more than once")


def test_shutdown_waits_as_long_as_init_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = smddp.init()
    monkeypatch.setenv("SMDDP_LEAVE_GRACE", "not a number")  # what comes later changes nothing
    smddp.shutdown()
    assert not smddp.is_initialized()
    assert world.size == 1


@pytest.mark.parametrize(
    ("name", "text", "range_"),
    [
        ("MASTER_PORT", "abc", "1 to 65534"),
        ("MASTER_PORT", "65535", "1 to 65534"),
        ("MASTER_PORT", "\u0661\u0662", "1 to 65534"),
        ("SMDATAPARALLEL_SERVER_PORT", "0", "1 to 65535"),
    ],
)
def test_bad_ports(name: str, text: str, range_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", name: text}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SMDDPConfigError) as caught:
        smddp.init(timeout=1)
    assert str(caught.value) == f"{name}={text!r}: expected a whole number from {range_}"


def test_place_of_rank_0_follows_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"JOB_ID": "77", "STEP_ID": "3", "PROCID": "2", "STEP_NUM_TASKS": "4", "LOCALID": "0"}
    step |= {"NODEID": "1", "STEP_TASKS_PER_NODE": "2(x2)", "STEP_NODELIST": "n[08-09]", "JOB_NODELIST": "n[07-09]"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    before = dict(os.environ)
    identity = read_identity(os.environ)
    assert identity.job_id is not None
    place = runtime._place(identity, runtime.read_settings())
    assert (place.rank, place.size, place.local_size) == (2, 4, 2)
    assert (place.master_addr, place.port) == ("n08", job_port(identity.job_id) + 1)
    assert dict(os.environ) == before


def test_what_a_parent_made_up_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    invented = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "20000"}
    record = " ".join([str(os.getppid()), *map("=".join, invented.items())])
    for name, value in {**invented, "SMDDP_ALONE": record}.items():
        monkeypatch.setenv(name, value)
    smddp.init()
    smddp.shutdown()
    assert not {*invented, "SMDDP_ALONE"} & os.environ.keys()


def test_version_is_told_once() -> None:
    code = "import smddp; smddp.init(); smddp.shutdown(); smddp.init()"
    job = run_job(
        [sys.executable, "-c", code], timeout=50, env={"SMDDP_DEBUG": "VERSION", "SMDDP_XYZZY_QQ": "1"}
    ).check()
    assert job.stdout == f"smddp {smddp.__version__}, 1 ranks, none\n"
    assert job.stderr == "smddp: WARN unknown environment variable SMDDP_XYZZY_QQ\n"


def test_version_is_told_by_rank_0_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_version_told", False)
    monkeypatch.setenv("SMDDP_DEBUG", "VERSION")
    settings = runtime.read_settings()
    runtime.log_version(settings, 1, "facts")
    runtime.log_version(settings, 0, "facts")
    runtime.log_version(settings, 0, "other facts")
    assert capsys.readouterr().out == f"smddp {smddp.__version__}, facts\n"
