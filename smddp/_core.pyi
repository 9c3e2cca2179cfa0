from collections.abc import Callable
from datetime import timedelta
from enum import Enum

from typing_extensions import Buffer

class DType(Enum):
    float64 = ...
    float32 = ...
    float16 = ...
    bfloat16 = ...
    int8 = ...
    int16 = ...
    int32 = ...
    int64 = ...
    uint8 = ...
    uint16 = ...
    uint32 = ...
    uint64 = ...
    bool = ...
    complex64 = ...
    complex128 = ...
    float8_e4m3fn = ...
    float8_e5m2 = ...
    float8_e4m3fnuz = ...
    float8_e5m2fnuz = ...
    float8_e8m0fnu = ...

class ReduceOp(Enum):
    sum = ...
    product = ...
    min = ...
    max = ...
    average = ...
    bitwise_and = ...
    bitwise_or = ...
    bitwise_xor = ...

class Collective(Enum):
    all_reduce = ...
    reduce_scatter = ...
    all_gather = ...
    broadcast = ...
    reduce = ...
    barrier = ...
    all_to_all = ...
    gather = ...
    scatter = ...

def size_of(dtype: DType) -> int: ...
def is_defined(op: ReduceOp, dtype: DType) -> bool: ...
def transport_names() -> list[str]: ...

class CudaFacts:
    @property
    def driver(self) -> int: ...
    @property
    def devices(self) -> list[str]: ...
    @property
    def problem(self) -> str: ...

class NcclFacts:
    @property
    def version(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def problem(self) -> str: ...

def cuda_facts() -> CudaFacts: ...
def nccl_facts(paths: list[str]) -> NcclFacts: ...

class Config:
    transport: str
    host_id: str
    job_secret: str
    listen_address: str
    socket_ifname: str
    stripe_bytes: int
    tcp_congestion: str
    topology: bytes
    costs: bytes
    costs_problem: str
    order: str
    partials: str
    algorithm: str
    ofi_provider: str
    gpu_collectives: str
    gpu_kernels: str
    gpu_staging_bytes: int
    gpu_open_tensors: bool
    nccl_paths: list[str]
    nccl_min_ctas: int
    nccl_max_ctas: int
    nccl_cta_policy: str
    timeout: timedelta
    slow_warning: timedelta
    leave_grace: timedelta
    chunk_bytes: int
    move_apart: bool
    log_level: str
    log_file: str

class NumaNode:
    cpus: list[int]

class Rail:
    name: str
    gbps: float
    numa: int

class Gpu:
    numa: int
    rails: list[int]

class HostTopology:
    instance_type: str
    threads_per_core: int
    cpu_limit: float
    memory_gbytes_per_s: float
    numa_nodes: list[NumaNode]
    rails: list[Rail]
    gpus: list[Gpu]

class Topology:
    hosts: list[HostTopology]
    host_of_rank: list[int]

def encode_host(host: HostTopology) -> bytes: ...
def topology_hash(topology: Topology) -> str: ...
def balanced_bucket_bytes(topology: Topology) -> int: ...
def usable_interfaces(spec: str) -> list[str]: ...
def discover_host(interfaces: list[str], root: str) -> HostTopology: ...

class LinkRate:
    def __init__(self, bytes: int, seconds_per_byte: float) -> None: ...
    bytes: int
    seconds_per_byte: float

class Costs:
    hop: float
    message: float
    link: list[LinkRate]
    reduce: float
    native_step: float
    native: float

def costs_between(topology: Topology, measured: dict[str, Costs] = ..., transport: str = ...) -> Costs: ...
def encode_costs(measured: dict[str, Costs]) -> bytes: ...

class Demand:
    hops: float
    messages: float
    wire: float
    piece: float
    reduced: float
    native_steps: float
    native: float
    segments: float

class CollectiveCall:
    collective: Collective
    dtype: DType
    op: ReduceOp
    count: int
    root: int

class PlanSettings:
    costs: Costs
    order: str
    partials: str

class PlanOption:
    algorithm: str
    seconds: float
    demand: Demand
    excluded: str

def plan_options(call: CollectiveCall, topology: Topology, settings: PlanSettings) -> list[PlanOption]: ...

class SimulatedMachine:
    efficiency: float
    burst: float
    own_rails: bool
    send_byte: float
    receive_byte: float
    processors: float
    one_machine: bool
    wake: float
    incast: float
    start_skew: float
    seed: int

class SimulatedCall:
    call: CollectiveCall
    algorithm: str
    ready: float

class SimulationOptions:
    in_flight: int
    fold: bool
    timeline: bool

class SimulatedStep:
    rank: int
    call: int
    kind: str
    peer: int
    bytes: float
    begin: float
    end: float

class Simulation:
    seconds: float
    ends: list[float]
    ranks: list[int]
    messages: int
    sent_bytes: float
    steps: list[SimulatedStep]

def simulate(
    calls: list[SimulatedCall],
    topology: Topology,
    settings: PlanSettings,
    machine: SimulatedMachine,
    options: SimulationOptions,
) -> Simulation: ...

class HandOff:
    flag_seconds: float
    futex_seconds: float
    two_processors: bool

def probe_hand_off() -> HandOff: ...
def pass_in_place(buffer: int, bytes: int) -> None: ...
def copy_non_temporal(target: int, source: int, bytes: int) -> None: ...

class RegisteredBlock(Buffer):
    def __init__(self, bytes: int) -> None: ...

class JobPlace:
    rank: int
    size: int
    local_size: int
    master_addr: str
    port: int
    job_id: str
    job_secret: str

class Store: ...

def open_job_store(place: JobPlace) -> Store: ...

class Request:
    collective: Collective
    dtype: DType
    op: ReduceOp
    root: int
    count: int
    counts: list[int]
    send_counts: list[int]
    timeout: timedelta
    synchronous: bool
    name: str

class Work:
    def is_completed(self) -> bool: ...
    def wait(self, timeout: timedelta | None = None) -> bool: ...

class Communicator:
    @property
    def rank(self) -> int: ...
    @property
    def world(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def hosts(self) -> int: ...
    def topology(self) -> Topology: ...
    def connect(self) -> None: ...
    def make_collective_now(self, collective: Collective) -> Callable[[object, object, object, object], bool]: ...
    def submit(self, request: Request, input: int, output: int, owner: object) -> Work: ...
    def leave(self, grace: timedelta, why: str = "") -> None: ...

class Runtime:
    @staticmethod
    def acquire(config: Config) -> Runtime: ...
    def create_communicator(
        self, rank: int, world: int, name: str, store: Store | None, config: Config | None = None
    ) -> Communicator: ...

class KeyedCommunicator:
    @staticmethod
    def create(
        runtime: Runtime, rank: int, world: int, name: str, store: Store | None, config: Config
    ) -> KeyedCommunicator: ...
    @staticmethod
    def set_of_process(group: KeyedCommunicator | None) -> None: ...
    @property
    def rank(self) -> int: ...
    @property
    def world(self) -> int: ...
    def join(self) -> int: ...
    def leave(self, grace: timedelta, why: str = "") -> None: ...

class KeyedDeviceGroup:
    def __init__(
        self, runtime: Runtime, name: str, store: Store | None, config: Config, order: KeyedCommunicator
    ) -> None: ...
    @staticmethod
    def set_of_process(group: KeyedDeviceGroup | None) -> None: ...
    def transport(self) -> str: ...
    def leave(self, grace: timedelta, why: str = "") -> None: ...

def leave_all(why: str = "") -> None: ...
