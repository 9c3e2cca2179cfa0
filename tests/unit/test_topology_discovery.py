"""What is found in a machine's files: a laptop, an EFA instance, a virtual machine, a container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from smddp.errors import SMDDPConfigError
from smddp.topology import Gpu, HostTopology, NumaNode, Rail
from smddp.topology.native import discover_host

PCI = "sys/devices/pci0000"


class Machine:
    """A fake sysfs below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n", encoding="ascii")

    def link(self, name: str, target: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(self.root / target, path.parent))

    def add_cpus(self, *nodes: str, siblings: str) -> None:
        for number, cpus in enumerate(nodes):
            self.write({f"sys/devices/system/node/node{number}/cpulist": cpus})
        self.write({"sys/devices/system/cpu/cpu0/topology/thread_siblings_list": siblings})

    def add_pci(self, place: str, *, numa: int = -1, vendor: str = "0x8086", kind: str = "0x020000") -> str:
        """A PCI device at `place` below a root complex, such as "10/0000:10:1c.0"; returns its folder."""
        folder = f"{PCI}:{place}"
        self.write({f"{folder}/vendor": vendor, f"{folder}/class": kind, f"{folder}/numa_node": str(numa)})
        self.link(f"sys/bus/pci/devices/{place.rpartition('/')[2]}", folder)
        return folder

    def add_gpu(self, place: str, *, numa: int = -1, kind: str = "0x030200") -> None:
        self.add_pci(place, numa=numa, vendor="0x10de", kind=kind)

    def add_interface(self, name: str, speed: str | None, *, device: str | None = None) -> None:
        self.write({f"sys/class/net/{name}/type": "1"})
        if speed is not None:
            self.write({f"sys/class/net/{name}/speed": speed})
        if device is not None:
            self.link(f"sys/class/net/{name}/device", device)

    def add_rdma(self, name: str, device: str, *ports: tuple[str, str]) -> None:
        self.link(f"sys/class/infiniband/{name}/device", device)
        for number, (state, rate) in enumerate(ports, start=1):
            self.write(
                {
                    f"sys/class/infiniband/{name}/ports/{number}/state": state,
                    f"sys/class/infiniband/{name}/ports/{number}/rate": rate,
                }
            )

    def discover(self, *interfaces: str) -> HostTopology:
        return discover_host(interfaces=list(interfaces), root=self.root)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_laptop(machine: Machine) -> None:
    machine.write({"sys/class/dmi/id/sys_vendor": "LENOVO", "sys/class/dmi/id/product_name": "20XW"})
    machine.add_cpus("0-7", siblings="0,4")
    machine.add_interface("enp0s31f6", "1000", device=machine.add_pci("00/0000:00:1f.6"))
    machine.add_interface("wlan0", None, device=machine.add_pci("00/0000:00:14.3"))
    machine.add_gpu("00/0000:00:01.0/0000:01:00.0", kind="0x030000")
    machine.add_pci("00/0000:00:02.0", kind="0x030000")  # graphics, but of another vendor
    machine.write({"sys/class/net/lo/type": "772"})
    found = machine.discover("enp0s31f6", "wlan0", "lo")
    assert found == HostTopology(
        threads_per_core=2,
        numa_nodes=(NumaNode(cpus=tuple(range(8))),),
        rails=(Rail(name="enp0s31f6", gbps=1.0, numa=0), Rail(name="wlan0", gbps=0.0, numa=0)),
        gpus=(Gpu(numa=0, rails=(0, 1)),),
    )
    assert found.cores == 4


def efa_instance(machine: Machine) -> None:
    """As p4d.24xlarge: on each of four PCI switches one EFA device and two GPUs."""
    machine.write({"sys/class/dmi/id/sys_vendor": "Amazon EC2", "sys/class/dmi/id/product_name": "p4d.24xlarge"})
    machine.add_cpus("0-23,48-71", "24-47,72-95", siblings="0,48")
    for number, bus in enumerate(("10", "20", "90", "a0")):
        numa = number // 2
        device = machine.add_pci(f"{bus}/0000:{bus}:1b.0", numa=numa, vendor="0x1d0f")
        machine.add_rdma(f"rdmap{int(bus, 16)}s27", device, ("4: ACTIVE", "100 Gb/sec (4X EDR)"))
        for slot in ("1c", "1d"):
            machine.add_gpu(f"{bus}/0000:{bus}:{slot}.0", numa=numa)
    machine.add_interface("ens32", "-1", device=machine.add_pci("00/0000:00:05.0", numa=0))


def test_efa_instance(machine: Machine) -> None:
    efa_instance(machine)
    found = machine.discover("ens32")
    assert found.instance_type == "p4d.24xlarge"
    assert (found.cpus, found.cores, len(found.numa_nodes)) == (96, 48, 2)
    # Names are sorted as text.
    assert [(rail.name, rail.gbps, rail.numa) for rail in found.rails] == [
        ("rdmap144s27", 100.0, 1),
        ("rdmap160s27", 100.0, 1),
        ("rdmap16s27", 100.0, 0),
        ("rdmap32s27", 100.0, 0),
    ]
    assert [(gpu.numa, gpu.rails) for gpu in found.gpus] == [
        *[(0, (2,)), (0, (2,)), (0, (3,)), (0, (3,))],
        *[(1, (0,)), (1, (0,)), (1, (1,)), (1, (1,))],
    ]


def test_rdma_ports_that_are_down_are_no_rails(machine: Machine) -> None:
    machine.add_cpus("0-1", siblings="0")
    device = machine.add_pci("00/0000:00:03.0")
    down, up = ("1: DOWN", "10 Gb/sec (4X)"), ("4: ACTIVE", "200 Gb/sec (4X HDR)")
    machine.add_rdma("mlx5_0", device, down, up)
    machine.add_interface("eth0", "25000")
    assert machine.discover("eth0").rails == (Rail(name="mlx5_0:2", gbps=200.0, numa=0),)
    machine.write({"sys/class/infiniband/mlx5_0/ports/2/state": "1: DOWN"})
    assert machine.discover("eth0").rails == (Rail(name="eth0", gbps=25.0, numa=0),)


def test_virtual_machine_without_speeds(machine: Machine) -> None:
    machine.write({"sys/devices/system/cpu/online": "0-3"})
    machine.add_interface("eth0", "-1")
    machine.add_interface("eth1", None)
    found = machine.discover("eth0", "eth1", "eth2")
    assert [(rail.name, rail.gbps) for rail in found.rails] == [("eth0", 0.0), ("eth1", 0.0), ("eth2", 0.0)]
    assert (found.numa_nodes, found.threads_per_core) == ((NumaNode(cpus=(0, 1, 2, 3)),), 1)
    assert found.instance_type == ""


def test_gpus_that_share_no_bus_with_a_rail(machine: Machine) -> None:
    machine.add_cpus("0-1", "2-3", siblings="0")
    machine.add_interface("eth0", "10000", device=machine.add_pci("00/0000:00:04.0", numa=0))
    machine.add_interface("eth1", "10000", device=machine.add_pci("80/0000:80:04.0", numa=1))
    machine.add_gpu("c0/0000:c0:01.0", numa=1)
    machine.add_gpu("e0/0000:e0:01.0")
    # By its NUMA node; and where nothing is known, none is nearer.
    assert machine.discover("eth0", "eth1").gpus == (Gpu(numa=1, rails=(1,)), Gpu())


def test_numa_nodes_are_renumbered(machine: Machine) -> None:
    machine.write({f"sys/devices/system/node/node{number}/cpulist": str(number) for number in (0, 8, 16)})
    machine.write({"sys/devices/system/node/online": "0,8,16"})
    machine.add_interface("eth0", "10000", device=machine.add_pci("00/0000:00:04.0", numa=16))
    found = machine.discover("eth0")
    assert [node.cpus for node in found.numa_nodes] == [(0,), (8,), (16,)]
    assert found.rails[0].numa == 2


def test_container_with_a_part_of_the_machine(machine: Machine) -> None:
    machine.add_cpus("0-3,8-11", "4-7,12-15", siblings="0,8")
    machine.write(
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/cpuset.cpus.effective": "0-5",
            "sys/fs/cgroup/cpu.max": "350000 100000",
        }
    )
    found = machine.discover()
    assert [node.cpus for node in found.numa_nodes] == [(0, 1, 2, 3), (4, 5)]
    # Of each core only one thread is there.
    assert (found.threads_per_core, found.cpu_limit, found.rails) == (1, 3.5, ())


def test_nothing_can_be_read(machine: Machine) -> None:
    assert machine.discover() == HostTopology(numa_nodes=(NumaNode(),))


def test_this_machine() -> None:
    found = discover_host()
    assert found.cpus >= 1
    assert found == discover_host()


def test_names_that_leave_no_interface() -> None:
    with pytest.raises(
        SMDDPConfigError, match=r"SMDDP_SOCKET_IFNAME=nosuch leaves no .* there are: lo \(127\.0\.0\.1\)"
    ):
        discover_host("nosuch")
