"""Misconfigurations that would be dear to reproduce: made of facts, each with the way in which the doctor names it.

Those that are cheap are reproduced for real in tests/integration/tools/test_doctor.py and tests/system/test_doctor.py.
"""

from __future__ import annotations

from dataclasses import replace

from unit.doctor_case import BOTH, Case, E, N, W
from unit.doctor_hosts import (
    GIB,
    MPICH,
    OPEN_MPI_5,
    changed,
    healthy,
    on,
    one_host,
    packages,
    toolkit,
    variables,
)
from unit.doctor_network_cases import NETWORK_CASES

from smddp.tools.doctor.checks import Subject, Unreached
from smddp.tools.doctor.facts import Fabric, Leftovers, Program, Store

CASES = {
    # versions
    "another smddp": Case(
        make=lambda: packages(2, 1, smddp="0.0.9"),
        expected=(E, "smddp-version", ()),
        problem="smddp differs: 0.1.0 on node0; 0.0.9 on node1",
        advice="same version",
    ),
    "another torch": Case(
        make=lambda: packages(2, 1, torch="2.13.1"),
        expected=(E, "torch-version", ()),
        problem="2.13.0+cpu on node0; 2.13.1 on node1",
    ),
    "tensorflow on one host only": Case(
        make=lambda: packages(2, 1, tensorflow=None),
        expected=(E, "tensorflow-version", ()),
        problem="2.21.0 on node0; none on node1",
    ),
    "another numpy": Case(
        make=lambda: packages(2, 0, numpy="1.26.4"), expected=(W, "numpy-version", ()), problem="1.26.4 on node0"
    ),
    "another Python": Case(
        make=lambda: on(2, "software", hosts=(1,), python="3.12.1"),
        expected=(E, "python-version", ()),
        problem="3.11 on node0; 3.12 on node1",
    ),
    "another patch of Python": Case(
        make=lambda: on(2, "software", hosts=(1,), python="3.11.9"),
        expected=(N, "python-version", ()),
        problem="3.11.7 on node0; 3.11.9 on node1",
    ),
    "other processors": Case(
        make=lambda: on(2, "software", hosts=(1,), architecture="aarch64"),
        expected=(E, "architecture", ()),
        problem="aarch64 on node1",
    ),
    # adapters
    "torch was updated": Case(
        make=lambda: packages(1, 0, torch="2.14.0"),
        expected=(E, "torch-adapter", ("node0",)),
        problem="built for torch 2.13.0, and 2.14.0 is installed",
        advice="rebuild smddp there",
    ),
    "no adapter for tensorflow": Case(
        make=lambda: on(1, "software", built_for={"_core": "", "_torch": "2.13.0"}),
        expected=(W, "tensorflow-adapter", ("node0",)),
        problem="without its adapter",
    ),
    "no native module": Case(
        make=lambda: on(1, "software", built_for={"_torch": "2.13.0", "_tf": "2.21.0"}),
        expected=(E, "core", ("node0",)),
        problem="native module is not built",
    ),
    "libstdc++ too old": Case(
        make=lambda: on(1, "software", load_errors={"_core": "ImportError: version `GLIBCXX_3.4.32' not found"}),
        expected=(E, "loading", ("node0",)),
        problem="_core does not load: ImportError: version `GLIBCXX_3.4.32' not found",
        advice="LD_LIBRARY_PATH",
    ),
    "the original library": Case(
        make=lambda: packages(1, 0, smdistributed_dataparallel="2.3.0"),
        expected=(E, "original-library", ("node0",)),
        problem="original smdistributed.dataparallel is installed too",
        advice="pip uninstall",
    ),
    "old import paths missing": Case(
        make=lambda: on(1, "software", old_module="missing"),
        expected=(E, "original-library", ("node0",)),
        problem="cannot be imported",
    ),
    # launcher
    "a host that could not be reached": Case(
        make=lambda: replace(one_host(), unreached=(Unreached(name="node9", problem="it is off", advice="start it"),)),
        expected=(E, "not-examined", ("node9",)),
        problem="it is off",
        advice="start it",
    ),
    "mpirun of another version": Case(
        make=lambda: on(2, "mpi", hosts=(1,), mpirun=OPEN_MPI_5),
        expected=(E, "mpirun-version", ()),
        problem="(Open MPI) 4.1.4 on node0; mpirun (Open MPI) 5.0.11 on node1",
    ),
    "an unknown mpirun": Case(
        make=lambda: on(1, "mpi", mpirun=Program(path="/usr/bin/mpirun", version="LAM 7.1.4")),
        expected=(E, "unknown-mpirun", ("node0",)),
        problem="'LAM 7.1.4'",
    ),
    "two kinds of MPI": Case(
        make=lambda: on(1, "mpi", others=(MPICH,)),
        expected=(N, "two-mpis", ("node0",)),
        problem="/usr/bin/mpirun.mpich is Hydra",
    ),
    "SageMaker's toolkit with Open MPI 5": Case(
        make=lambda: toolkit(mpirun=OPEN_MPI_5),
        expected=(E, "toolkit", ("node0",)),
        problem="all ranks on the first host",
        advice="Open MPI 4.1",
    ),
    "SageMaker's toolkit without mpi4py": Case(
        make=lambda: packages(1, 0, sagemaker_training="5.1.4", mpi4py=None),
        expected=(E, "toolkit", ("node0",)),
        problem="python -m mpi4py",
        advice="pip install mpi4py",
    ),
    "SageMaker's toolkit in a slim image": Case(
        make=lambda: toolkit(programs=("smddprun", "mpirun")),
        expected=(E, "toolkit", ("node0",)),
        problem="which, sshd",
    ),
    # network, names and clocks
    **NETWORK_CASES,
    # variables
    "shared memory over several hosts": Case(
        make=lambda: variables(2, 0, 1, SMDDP_TRANSPORT="shm"),
        expected=(E, "transport", BOTH),
        problem="SMDDP_TRANSPORT=shm",
    ),
    "ranks that are threads": Case(
        make=lambda: variables(1, SMDDP_TRANSPORT="inproc"),
        expected=(E, "transport", ("node0",)),
        problem="threads of one process",
    ),
    "no shared memory on one host": Case(
        make=lambda: variables(1, SMDDP_TRANSPORT="tcp"), expected=(N, "transport", ("node0",)), problem="keeps ranks"
    ),
    "chunks differ": Case(
        make=lambda: variables(2, 1, SMDDP_CHUNK_BYTES="8192"),
        expected=(E, "unequal-variables", ()),
        problem="SMDDP_CHUNK_BYTES differs: unset on node0; 8192 on node1",
        advice="start-up file",
    ),
    "a log of everything": Case(
        make=lambda: variables(1, NCCL_DEBUG="trace"), expected=(N, "log-level", ("node0",)), problem="every operation"
    ),
    "a proxy": Case(
        make=lambda: variables(2, 0, http_proxy="http://p:3128", no_proxy="localhost"),
        expected=(N, "proxy", ("node0",)),
        problem="no_proxy does not name the job's hosts",
    ),
    "a rank among strangers": Case(
        make=lambda: replace(one_host(), rank_problem="RANK='x': expected a whole number"),
        expected=(E, "rank-variables", ()),
        problem="RANK='x'",
        advice="unset",
    ),
    "threads differ": Case(
        make=lambda: variables(2, 1, OMP_NUM_THREADS="2"),
        expected=(W, "threads", ()),
        problem="OMP_NUM_THREADS differs: 4 on node0; 2 on node1",
    ),
    # limits and machine
    "memory cannot be locked for RDMA": Case(
        make=lambda: Subject(hosts=(changed(healthy(), "fabric", infiniband=("mlx5_0",)),)),
        expected=(E, "locked-memory", ("node0",)),
        problem="locked memory is 8 MiB",
        advice="ulimit -l unlimited",
    ),
    "few processes": Case(
        make=lambda: on(1, "limits", processes=100),
        expected=(W, "processes", ("node0",)),
        problem="limit of processes is 100",
    ),
    "few processes in the container": Case(
        make=lambda: on(1, "limits", tasks=300, tasks_used=200),
        expected=(W, "processes", ("node0",)),
        problem="allows 300 processes and threads, 200 exist",
        advice="--pids-limit",
    ),
    "an old kernel": Case(
        make=lambda: on(1, "system", kernel="4.18.0-553.el8"),
        expected=(E, "kernel", ("node0",)),
        problem="Linux 4.18.0",
    ),
    "seccomp forbids pidfd_open": Case(
        make=lambda: on(1, "system", calls={"pidfd_open": "Operation not permitted"}),
        expected=(E, "system-calls", ("node0",)),
        problem="pidfd_open does not work here (operation not permitted)",
        advice="seccomp",
    ),
    "less processor time than cores": Case(
        make=lambda: replace(on(1, "system", cores_granted=2.5), ranks={}),
        expected=(W, "cores", ("node0",)),
        problem="8 cores are visible, and the control group grants the time of 2.5",
        advice="OMP_NUM_THREADS",
    ),
    "others compute": Case(
        make=lambda: on(1, "system", load=17.2),
        expected=(W, "busy", ("node0",)),
        problem="17.2 processes are running on 8 cores",
    ),
    "less memory than there is": Case(
        make=lambda: on(1, "system", memory_limit=4 * GIB),
        expected=(N, "memory", ("node0",)),
        problem="allows 4 GiB of 64 GiB",
    ),
    "hardly any memory": Case(
        make=lambda: on(1, "system", memory_available=100 * 1024**2),
        expected=(W, "memory", ("node0",)),
        problem="100 MiB of memory are available",
    ),
    "strict overcommit": Case(
        make=lambda: on(1, "system", overcommit=2), expected=(W, "overcommit", ("node0",)), problem="overcommit_memory"
    ),
    "shared memory on a disk": Case(
        make=lambda: on(1, "system", shared_memory=Store(path="/dev/shm", kind="ext4", size=99 * GIB, free=9 * GIB)),
        expected=(W, "shared-memory", ("node0",)),
        problem="/dev/shm is not memory but ext4",
    ),
    "a disk that is full": Case(
        make=lambda: on(1, "system", temporary=Store(path="/tmp", size=9 * GIB, free=4096)),
        expected=(W, "temporary-files", ("node0",)),
        problem="/tmp has 4 KiB left",
    ),
    # fast networks
    "EFA on one host only": Case(
        make=lambda: Subject(
            hosts=(healthy(0), changed(changed(healthy(1), "fabric", efa=("rdmap0s6",)), "limits", locked_memory=None))
        ),
        expected=(W, "efa", ()),
        problem="0 EFA devices on node0; 1 EFA devices on node1",
    ),
    "libfabric without EFA": Case(
        make=lambda: Subject(
            hosts=(
                changed(
                    replace(healthy(), fabric=Fabric(efa=("rdmap0s6",), providers=("tcp", "shm"))),
                    "limits",
                    locked_memory=None,
                ),
            )
        ),
        expected=(W, "efa", ("node0",)),
        problem="no provider for them",
    ),
    "a provider that is not there": Case(
        make=lambda: Subject(
            hosts=(
                changed(
                    replace(healthy(), fabric=Fabric(providers=("tcp", "shm"))),
                    "environment",
                    variables={"FI_PROVIDER": "psm3"},
                ),
            )
        ),
        expected=(N, "libfabric-provider", ("node0",)),
        problem="FI_PROVIDER=psm3",
    ),
    # leftovers
    "a rank without a launcher": Case(
        make=lambda: Subject(hosts=(replace(healthy(), leftovers=Leftovers(processes={"71": "python train.py"})),)),
        expected=(W, "leftover-processes", ("node0",)),
        problem="process 71 (python train.py)",
        advice="kill 71",
    ),
}
