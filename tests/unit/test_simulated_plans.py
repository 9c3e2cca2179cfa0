"""Plans in virtual time: what holds for every one of them."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smddp import _core
from smddp.errors import SMDDPArgumentError
from smddp.simulation.native import Call, Network, plan_options, simulate
from smddp.topology import HostTopology, Rail, Topology

COLLECTIVES = ["all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "all_to_all", "gather", "scatter"]
#: What more bandwidth may cost, as it changes which messages meet. (Where threads have work, messages that come earlier
#: can also keep one from what others wait for: Graham's anomalies, 1969. Small all_to_alls show up to 40 %.)
TOLERANCE = 1.02


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    rails = tuple(
        Rail(name=f"eth{index}", gbps=draw(st.sampled_from([1.0, 10.0, 25.0])))
        for index in range(draw(st.integers(1, 2)))
    )
    ranks = draw(st.lists(st.integers(1, 4), min_size=2, max_size=6))
    if draw(st.booleans()):
        ranks = ranks[:1] * len(ranks)
    places = itertools.chain.from_iterable([host] * count for host, count in enumerate(ranks))
    return Topology(hosts=(HostTopology(rails=rails),) * len(ranks), host_of_rank=tuple(places))


@st.composite
def machines(draw: st.DrawFn) -> _core.SimulatedMachine:
    machine = _core.SimulatedMachine()
    machine.efficiency = draw(st.sampled_from([1.0, 0.9]))
    machine.own_rails = draw(st.booleans())
    machine.send_byte = draw(st.sampled_from([0.0, 0.2e-9]))
    machine.receive_byte = draw(st.sampled_from([0.0, 0.3e-9]))
    machine.processors = draw(st.sampled_from([0.0, 2.0]))
    machine.one_machine = draw(st.booleans())
    machine.wake = draw(st.sampled_from([0.0, 1e-4]))
    machine.incast = draw(st.sampled_from([0.0, 0.02]))
    machine.start_skew = draw(st.sampled_from([0.0, 1e-4]))
    machine.seed = draw(st.integers(0, 9))
    return machine


@st.composite
def cases(draw: st.DrawFn) -> tuple[Call, Network]:
    call = Call(nbytes=draw(st.integers(0, 1 << 22)) * 4, collective=draw(st.sampled_from(COLLECTIVES)))
    network = Network(topology=draw(topologies()), machine=draw(machines()), order="any")
    allowed = [option.algorithm for option in plan_options(call, network) if not option.excluded]
    return dataclasses.replace(call, algorithm=draw(st.sampled_from(allowed))), network


def with_free_processors(network: Network) -> Network:
    """Where only messages take time. The costs are those of this topology, so that the plan stays the same."""
    costs = network.settings().costs
    costs.message = costs.reduce = costs.native_step = costs.native = 0
    machine = _core.SimulatedMachine()
    machine.own_rails = network.machine is not None and network.machine.own_rails
    return dataclasses.replace(network, costs=costs, machine=machine)


def faster(topology: Topology, factor: float) -> Topology:
    rails = tuple(dataclasses.replace(rail, gbps=rail.gbps * factor) for rail in topology.hosts[0].rails)
    host = dataclasses.replace(topology.hosts[0], rails=rails)
    return dataclasses.replace(topology, hosts=(host,) * len(topology.hosts))


@given(cases())
@settings(max_examples=60, deadline=None)
def test_nothing_is_faster_than_the_wire(case: tuple[Call, Network]) -> None:
    call, network = case
    found = simulate([call], network, timeline=True, every_rank=True)
    sent: dict[int, float] = {}
    for step in found.steps:
        if step.kind == "send":
            host = network.topology.host_of_rank[step.rank]
            sent[host] = sent.get(host, 0.0) + step.bytes
        assert 0 <= step.begin <= step.end <= found.seconds
    assert network.machine is not None
    rate = network.topology.hosts[0].gbps * 1e9 / 8 * network.machine.efficiency
    assert found.seconds >= max(sent.values()) / rate * 0.999999


@given(cases(), st.sampled_from([1.1, 2.0, 10.0]))
@settings(max_examples=60, deadline=None)
def test_more_bandwidth_makes_nothing_slower(case: tuple[Call, Network], factor: float) -> None:
    call, network = case
    slow = with_free_processors(network)
    fast = dataclasses.replace(slow, topology=faster(network.topology, factor))
    assert simulate([call], fast).seconds <= simulate([call], slow).seconds * TOLERANCE


@given(cases())
@settings(max_examples=30, deadline=None)
def test_the_same_question_has_the_same_answer(case: tuple[Call, Network]) -> None:
    call, network = case
    assert simulate([call], network).seconds == simulate([call], network).seconds


@pytest.mark.parametrize("what", ["collective", "dtype", "op"])
def test_names_that_mean_nothing(what: str) -> None:
    network = Network(topology=Topology.uniform(HostTopology(), hosts=2))
    call = dataclasses.replace(Call(nbytes=8), **{what: "magic"})
    with pytest.raises(SMDDPArgumentError, match=f"'magic' is no {what}; choose one of "):
        simulate([call], network)
