"""Misconfigurations of networks, names and clocks, made of facts; the others are in doctor_cases.py."""

from __future__ import annotations

from dataclasses import replace

from unit.doctor_case import BOTH, Case, E, N, W
from unit.doctor_hosts import LOOPBACK, interfaces, on, routed, two_hosts, variables

from smddp.tools.doctor.checks import Subject
from smddp.tools.doctor.facts import Interface, PairFacts, Route

NETWORK_CASES = {
    "no route": Case(
        make=lambda: routed(Route(address="10.0.0.1", problem="no route to host")),
        expected=(E, "unreachable", ("node1", "node0")),
        problem="node1 cannot reach node0 (10.0.0.1: no route to host)",
        advice="ip route",
    ),
    "a firewall that drops": Case(
        make=lambda: routed(Route(address="10.0.0.1", problem="no answer", is_slow=True)),
        expected=(E, "unreachable", ("node1", "node0")),
        problem="10.0.0.1: no answer",
        advice="security group drops",
    ),
    "a firewall that rejects": Case(
        make=lambda: routed(Route(address="10.0.0.1", problem="connection refused")),
        expected=(E, "unreachable", ("node1", "node0")),
        problem="connection refused",
        advice="firewall refuses",
    ),
    "a first address that leads nowhere": Case(
        make=lambda: routed(
            Route(address="192.168.5.1", problem="no answer", is_slow=True), Route(address="10.0.0.1", round_trip=0.001)
        ),
        expected=(W, "first-address", ("node1", "node0")),
        problem="at 192.168.5.1 first, where nobody answers, for 5 s; then 10.0.0.1 works",
        advice="SMDDP_LISTEN_ADDRESS=10.0.0.1",
    ),
    "jumbo frames that get lost": Case(
        make=lambda: routed(Route(address="10.0.0.1", loses_large=True, round_trip=0.001)),
        expected=(E, "long-messages", ("node1", "node0")),
        problem="short messages from node1 arrive at node0 (10.0.0.1), long ones are lost",
        advice="MTU",
    ),
    "MTU differs": Case(
        make=lambda: interfaces(1, mtu=1500), expected=(W, "mtu", ()), problem="9001 on node0; 1500 on node1"
    ),
    "interfaces in different networks": Case(
        make=lambda: interfaces(1, prefix=25),
        expected=(N, "networks", ()),
        problem="10.0.0.0/24 on node0; 10.0.0.0/25 on node1",
    ),
    "two hosts with one address": Case(
        make=lambda: interfaces(1, Interface(name="eth1", address="10.0.0.1", prefix=24, mtu=9001)),
        expected=(E, "same-address", BOTH),
        problem="10.0.0.1 is the address",
    ),
    "only loopback": Case(
        make=lambda: on(2, "network", hosts=(1,), interfaces=(LOOPBACK,)),
        expected=(E, "no-interface", ("node1",)),
        problem="no interface that is up has an IPv4 address",
    ),
    "no interface of the name": Case(
        make=lambda: variables(2, 1, SMDDP_SOCKET_IFNAME="ib,=eth7"),
        expected=(E, "socket-ifname", ("node1",)),
        problem="SMDDP_SOCKET_IFNAME=ib,=eth7 leaves no interface that is up and has an IPv4 address (there are lo,",
    ),
    "an address that other hosts cannot reach": Case(
        make=lambda: variables(2, 1, SMDDP_LISTEN_ADDRESS="127.0.0.1"),
        expected=(E, "listen-address", ("node1",)),
        problem="cannot be reached from other hosts",
    ),
    "rank 0's name is unknown": Case(
        make=lambda: routed(
            Route(address="node0:20000", problem="this host does not know the name (x)"), is_store=True
        ),
        expected=(E, "master-address", ("node1",)),
        problem="node1 does not reach rank 0 at MASTER_ADDR:MASTER_PORT, node0:20000",
        advice="/etc/hosts",
    ),
    "clocks disagree": Case(
        make=lambda: Subject(
            hosts=two_hosts().hosts,
            pairs=(PairFacts(rank=1, peer=0, routes=(Route(address="10.0.0.1", clock_offset=-7.5),)),),
        ),
        expected=(W, "clock", ("node1", "node0")),
        problem="the clock of node0 is 7.5 s behind that of node1",
        advice="NTP",
    ),
    "clocks disagree by minutes": Case(
        make=lambda: replace(
            two_hosts(), pairs=(PairFacts(rank=0, peer=1, routes=(Route(address="10.0.0.2", clock_offset=400.0),)),)
        ),
        expected=(E, "clock", BOTH),
        problem="the clock of node1 is 400.0 s ahead of that of node0",
    ),
    "one host named twice": Case(
        make=lambda: on(2, "system", hosts=(0, 1), host_name="node0", host_id="boot:0:net:1"),
        expected=(N, "host-identity", ("node0 #0", "node0 #1")),
        problem="one and the same host",
    ),
    "two hosts with one name": Case(
        make=lambda: on(2, "system", hosts=(1,), host_name="node0"),
        expected=(W, "same-name", ("node0 #0", "node0 #1")),
        problem="same name, node0",
    ),
    "own name means loopback": Case(
        make=lambda: on(2, "network", hosts=(1,), own_addresses=("127.0.1.1",)),
        expected=(W, "own-name", ("node1",)),
        problem="node1 means 127.0.1.1",
        advice="/etc/hosts",
    ),
    "a port of outgoing connections": Case(
        make=lambda: variables(1, MASTER_PORT="40000"),
        expected=(N, "port-range", ("node0",)),
        problem="MASTER_PORT=40000",
        advice="below 32768",
    ),
}
