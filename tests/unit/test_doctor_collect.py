"""How the doctor gathers facts, and how they travel."""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.doctor_hosts import healthy, pairs

from smddp.errors import SMDDPArgumentError
from smddp.launch.machine import is_free
from smddp.launch.spec import Host, Options
from smddp.tools.doctor.collect import collect_facts
from smddp.tools.doctor.collect.environment import collect_environment
from smddp.tools.doctor.collect.groups import cores_granted, memory_limit, task_limit
from smddp.tools.doctor.collect.interfaces import LOCAL_ONLY, engine_order, read_interfaces
from smddp.tools.doctor.collect.leftovers import collect_leftovers
from smddp.tools.doctor.collect.network import collect_fabric, resolve
from smddp.tools.doctor.collect.ports import holder_of
from smddp.tools.doctor.collect.software import built_modules, installed
from smddp.tools.doctor.facts import HostFacts, Interface, PairFacts, decode, encode
from smddp.tools.doctor.lines import pack, read_results, unpack
from smddp.tools.doctor.options import read_words
from smddp.tools.doctor.start import count_hosts
from smddp.tools.doctor.unreached import Answer, agent_of, explain

from support.jobs import REPOSITORY

pytestmark = pytest.mark.timeout(60)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_this_host_can_be_examined() -> None:
    facts = collect_facts(dict(os.environ), quick=True)
    assert facts.system.host_name == socket.gethostname()
    assert facts.system.calls == {}
    assert facts.software.load_errors == {}
    assert "smddp" in facts.software.packages
    assert any(one.address == "127.0.0.1" and one.is_loopback for one in facts.network.interfaces)
    assert decode(HostFacts, json.loads(json.dumps(encode(facts)))) == facts


@pytest.mark.parametrize("facts", [healthy(), *pairs()])
def test_facts_travel(facts: HostFacts | PairFacts) -> None:
    assert decode(type(facts), json.loads(json.dumps(encode(facts)))) == facts


def test_facts_of_other_versions() -> None:
    told = encode(healthy())
    del told["fabric"]
    told["system"]["moon"] = "full"
    facts = decode(HostFacts, told)
    assert facts.system == healthy().system
    assert facts.fabric == HostFacts().fabric
    with pytest.raises(TypeError, match="System: expected a dictionary, not 5"):
        decode(HostFacts, {"system": 5})


def test_every_fact_has_a_default() -> None:
    for one in fields(HostFacts):
        assert getattr(HostFacts(), one.name) is not None


@given(st.dictionaries(st.integers(0, 9), st.lists(st.text(max_size=900), max_size=4), max_size=4), st.randoms())
def test_lines_of_probes_come_together(results: dict[int, list[str]], random: object) -> None:
    lines = []
    for rank, value in results.items():
        word = pack(value)
        parts = [word[begin : begin + 7] for begin in range(0, len(word), 7)]
        lines += [f"[1,{rank}]<stdout>: smddp-doctor {rank} {i}/{len(parts)} {part}" for i, part in enumerate(parts)]
    random.shuffle(lines)  # type: ignore[attr-defined]
    assert read_results("\n".join(["hello", *lines, "smddp-doctor 77 0/2 abcd"])) == dict(sorted(results.items()))


def test_words_that_are_not_whole() -> None:
    with pytest.raises(ValueError, match="not a packed value"):
        unpack(pack([1, 2, 3])[:-4])


@pytest.mark.parametrize(
    ("files", "cores", "memory", "tasks"),
    [
        ({"proc/self/cgroup": "0::/\n"}, None, None, (None, 0)),
        (
            {
                "proc/self/cgroup": "0::/job/rank\n",
                "sys/fs/cgroup/job/rank/cpu.max": "max 100000\n",
                "sys/fs/cgroup/job/cpu.max": "250000 100000\n",
                "sys/fs/cgroup/job/memory.max": "1048576\n",
                "sys/fs/cgroup/job/rank/memory.max": "max\n",
                "sys/fs/cgroup/job/pids.max": "100\n",
                "sys/fs/cgroup/job/pids.current": "40\n",
            },
            2.5,
            1048576,
            (100, 40),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/\n2:pids:/gone\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2097152\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/pids/pids.max": "max\n",
            },
            0.5,
            2097152,
            (None, 0),
        ),
    ],
    ids=["no limit", "version 2", "version 1"],
)
def test_control_groups(
    tmp_path: Path, files: dict[str, str], cores: float | None, memory: int | None, tasks: tuple[int | None, int]
) -> None:
    root = write(tmp_path, files)
    assert (cores_granted(root), memory_limit(root), task_limit(root)) == (cores, memory, tasks)


def test_interfaces_are_chosen_as_the_engine_does() -> None:
    source = (REPOSITORY / "native/src/topology/interfaces.cc").read_text(encoding="utf-8")
    (names,) = re.findall(r"kLocalOnly\{([^}]*)\}", source)
    assert tuple(re.findall(r'"([^"]+)"', names)) == LOCAL_ONLY
    bridge = Interface(name="docker0", address="172.17.0.1", is_likely=False)
    down = Interface(name="eth9", address="10.9.9.9", is_up=False)
    real = Interface(name="eth0", address="10.0.0.1")
    loopback = Interface(name="lo", address="127.0.0.1", is_loopback=True)
    assert engine_order((loopback, bridge, down, real)) == (real,)
    assert engine_order((loopback, bridge, down)) == (bridge,)
    assert engine_order((loopback,)) == ()


# native/tests/topology/interfaces_test.cc has the same table.
@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("", "eth0 eth1 eth10 ib0"),
        ("eth", "eth0 eth1 eth10"),
        ("=eth1", "eth1"),
        ("=eth1,eth0", "eth1 eth0"),
        ("ib,eth0", "ib0 eth0"),
        ("eth,eth1", "eth0 eth1 eth10"),
        ("^eth", "ib0"),
        ("^=eth1", "eth0 eth10 ib0"),
        ("^eth,ib", "docker0 usb0"),
        ("docker", "docker0"),
        ("=lo", "lo"),
        (",eth0,", "eth0"),
        ("^", "eth0 eth1 eth10 ib0"),
        ("enp", ""),
    ],
)
def test_named_interfaces_are_chosen_as_the_engine_does(spec: str, names: str) -> None:
    there = [("lo", "127.0.0.1"), ("docker0", "172.17.0.1"), ("eth0", "10.0.0.1"), ("eth1", "10.0.1.1")]
    there += [("eth10", "10.0.10.1"), ("ib0", "10.9.0.1"), ("usb0", "169.254.3.4")]
    interfaces = tuple(
        Interface(name=name, address=address, is_loopback=name == "lo", is_likely=name not in ("docker0", "usb0"))
        for name, address in there
    )
    assert " ".join(one.name for one in engine_order(interfaces, spec)) == names


def test_loopback_is_seen_whole() -> None:
    loopback = next(one for one in read_interfaces() if one.name == "lo")
    assert (loopback.address, loopback.prefix, loopback.is_up, loopback.is_likely) == ("127.0.0.1", 8, True, True)
    assert loopback.mtu > 0


def test_native_modules_tell_what_they_are_built_for() -> None:
    there = installed()
    for module, framework in (("_torch", "torch"), ("_tf", "tensorflow")):
        if module in built_modules():
            assert built_modules()[module].split(".")[:2] == there[framework].split(".")[:2]
    assert "_core" in built_modules()


def test_holder_of_a_port() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert not is_free(port)
        assert holder_of(port).startswith(f"process {os.getpid()} (")


def test_names() -> None:
    assert resolve("127.0.0.7") == (("127.0.0.7",), "")
    addresses, problem = resolve("no-such-host.invalid")
    assert addresses == ()
    assert problem


def test_fast_networks(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/class/infiniband/rdmap0/device/vendor": "0x1d0f\n",
            "sys/class/infiniband/mlx5_0/device/vendor": "0x15b3\n",
        },
    )
    fabric = collect_fabric(root)
    assert (fabric.efa, fabric.infiniband) == (("rdmap0",), ("mlx5_0",))


def test_only_certain_leftovers(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/1/comm": "systemd\n",
            "proc/40/comm": "python\n",
            "proc/40/cmdline": "python\0train.py\0",
            "proc/40/stat": "40 (python a) (b)) S 1 40\n",
            "proc/41/stat": "41 (python) S 40 41\n",
            "proc/41/maps": "7f00-7f01 rw-s 00000000 00:19 9 /dev/shm/nccl-used\n",
            "proc/42/stat": "42 (python) S 1 42\n",
            **{f"dev/shm/{name}": "x" for name in ("nccl-used", "nccl-old", "torch_1_2", "nccl-new", "somebody's")},
        },
    )
    for pid in (40, 41):
        (root / f"proc/{pid}/fd").mkdir()
        (root / f"proc/{pid}/fd/3").symlink_to("/memfd:smddp (deleted)")
    for name in ("nccl-used", "nccl-old", "torch_1_2", "somebody's"):
        os.utime(root / "dev/shm" / name, (1e9, 1e9))
    found = collect_leftovers(root)
    assert sorted(found.files) == ["nccl-old", "torch_1_2"]
    assert found.processes == {"40": "python train.py"}  # 41 has a parent, 42 is not ours


def test_a_launcher_as_first_process_is_a_parent(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/1/comm": "torchrun\n", "proc/40/stat": "40 (python) S 1 40\n"})
    (root / "proc/40/fd").mkdir()
    (root / "proc/40/fd/3").symlink_to("/memfd:smddp (deleted)")
    assert collect_leftovers(root).processes == {}


@pytest.mark.parametrize(
    ("options", "env", "count"),
    [
        (Options(program=(), hosts=(Host("a"), Host("b", 4))), {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "9"}, 2),
        (Options(program=()), {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "9"}, 9),
        (Options(program=()), {"SLURM_JOB_NUM_NODES": "9"}, 1),
        (Options(program=()), {"PBS_NODEFILE": "nodes"}, 2),
        (Options(program=()), {"PBS_NODEFILE": "no-such-file"}, 1),
        (Options(program=()), {}, 1),
    ],
)
def test_hosts_of_an_allocation(
    options: Options, env: dict[str, str], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nodes").write_text("n1\nn1\nn2\n", encoding="utf-8")
    assert count_hosts(options, env) == count


def test_secrets_stay_here() -> None:
    env = {"SMDDP_JOB_SECRET": "violet", "NCCL_API_KEY": "violet", "TORCH_TOKEN": "violet", "NCCL_DEBUG": "INFO"}
    facts = collect_environment(env)
    assert facts.variables == {"NCCL_DEBUG": "INFO"}
    assert "violet" not in json.dumps(encode(facts))


@pytest.mark.parametrize(
    ("answer", "problem", "advice"),
    [
        (Answer(255, "ssh: Could not resolve hostname n9: Name or service not known"), "its name is unknown", "hosts"),
        (Answer(255, "ssh: connect to host n9 port 22: Connection refused"), "ssh server does not run", "sshd"),
        (Answer(255, "ssh: connect to host n9 port 22: Connection timed out"), "does not answer", "firewall"),
        (Answer(255, "ssh: connect to host n9 port 22: No route to host"), "does not answer", "firewall"),
        (Answer(255, "root@n9: Permission denied (publickey,password)."), "asks for a password", "ssh-copy-id"),
        (Answer(255, "Host key verification failed."), "host key", "known_hosts"),
        (Answer(127, "bash: line 1: /opt/venv/bin/python: No such file or directory"), "does not exist there", "path"),
        (Answer(None, ""), "it does not answer", "firewall"),
        (Answer(3, "strange\nthings happen\n"), "things happen", "ssh n9 true"),
        (Answer(0, ""), "ssh works, and mpirun does not: prted is missing", "same MPI"),
    ],
)
def test_why_a_host_has_no_probe(answer: Answer, problem: str, advice: str) -> None:
    told = explain("n9", answer, "-----\nprted is missing\n-----\nsmddprun: job failed\n")
    assert told.name == "n9"
    assert problem in told.problem
    assert advice in told.advice


def test_agents() -> None:
    assert agent_of((), {}) == ["ssh"]
    assert agent_of(("-mca", "plm_rsh_agent", "/etc/mpi/kubexec.sh -q"), {}) == ["/etc/mpi/kubexec.sh", "-q"]
    assert agent_of((), {"PRTE_MCA_plm_ssh_agent": "ssh -p 2222 : rsh"}) == ["ssh", "-p", "2222"]


def test_options() -> None:
    options = read_words(["--json", "-H", "a:2,b", "--quick", "-x", "A=1", "--mpi-options", "-verbose"])
    assert (options.as_json, options.quick, options.wants_help) == (True, True, False)
    assert options.job.hosts == (Host("a", 2), Host("b"))
    assert options.job.exports == ("A=1",)
    assert options.job.mpi_options == ("-verbose",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.py"], "doctor takes no program, only options: 'train.py'"),
        (["--log-dir", "x"], "only those that say where a job runs"),
        (["-H", "a:0"], "slot count"),
        (["--bogus"], "--bogus"),
    ],
)
def test_wrong_options(words: list[str], message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=re.escape(message)):
        read_words(words)
