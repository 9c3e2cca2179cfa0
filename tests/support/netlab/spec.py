"""What a laboratory looks like, and the lines for `ip -batch` and `tc -batch` that make it; without effects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["BURST", "LabSpec", "cable_lines", "host_lines", "parse_rate", "rate_lines", "switch_lines"]

MOST_HOSTS = 250
_UNITS = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9}

#: Sent at once after a pause, bytes: more than the largest packet before segmentation (64 KiB), or tbf cuts packets up
#: and the processors become the limit.
BURST = 128 << 10
#: The same as a time, for links that are faster: how late the kernel may look after a link without losing rate.
_BURST_SECONDS = 1e-3
#: What waits in a host for its NIC: enough that nothing is dropped there, as NICs make their hosts wait.
_HOST_QUEUE = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """Hosts with a NIC on each rail. A rail is a network of its own: a switch and a subnet.

    Args:
        hosts: how many.
        rails: line rate of the NICs on each rail in bits per second, in each direction; None: what the machine can do.
        slower: other rates of single NICs, by (host, rail).
        mtu: of all NICs, bytes.
        buffer: bytes that may wait in a switch for each NIC; when many send to one at once, the rest is dropped.

    Raises:
        ValueError: there can be no such laboratory.
    """

    hosts: int
    rails: tuple[int | None, ...] = (None,)
    slower: Mapping[tuple[int, int], int] = field(default_factory=dict)
    mtu: int = 1500
    buffer: int = 1 << 20

    def __post_init__(self) -> None:
        if not 1 <= self.hosts <= MOST_HOSTS:
            raise ValueError(f"{self.hosts} hosts: give from 1 to {MOST_HOSTS}")
        if not 1 <= len(self.rails) <= MOST_HOSTS:
            raise ValueError(f"{len(self.rails)} rails: give from 1 to {MOST_HOSTS}")
        for host, rail in self.slower:
            if not (0 <= host < self.hosts and 0 <= rail < len(self.rails)):
                raise ValueError(f"a rate for rail {rail} of host {host}: there is no such NIC")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the hosts."""
        return tuple(f"node{host}" for host in range(self.hosts))

    @property
    def nics(self) -> tuple[str, ...]:
        """Names of each host's NICs, by rail."""
        return tuple(f"eth{rail}" for rail in range(len(self.rails)))

    def address(self, host: int, rail: int = 0) -> str:
        """IPv4 address of a NIC; the subnet is its first 24 bits."""
        return f"10.0.{rail}.{host + 1}"

    def rate(self, host: int, rail: int) -> int | None:
        """Line rate of a NIC, bits per second."""
        return self.slower.get((host, rail), self.rails[rail])

    def port(self, host: int, rail: int) -> str:
        """Name of the switch's port that a NIC is connected to."""
        return f"{self.names[host]}-{self.nics[rail]}"

    def hosts_file(self) -> str:
        """/etc/hosts of every host: a host's name means its address on the first rail."""
        addresses = [self.address(host) for host in range(self.hosts)]
        # The second form of an address is what a socket for both protocols sees.
        pairs = zip(addresses, self.names, strict=True)
        return "\n".join(["127.0.0.1 localhost", *(f"{a} {name}\n::ffff:{a} {name}" for a, name in pairs)]) + "\n"


def switch_lines(spec: LabSpec) -> Iterator[str]:
    """For ip: the switches."""
    for rail in range(len(spec.rails)):
        yield f"link add rail{rail} mtu {spec.mtu} type bridge mcast_snooping 0"
        yield f"link set rail{rail} up"


def cable_lines(spec: LabSpec, hosts: Sequence[int]) -> Iterator[str]:
    """For ip, where the switches are: cables to the hosts, in whose network namespaces these processes are."""
    for host, pid in enumerate(hosts):
        for rail, nic in enumerate(spec.nics):
            end = f"mtu {spec.mtu} type veth peer name {nic} mtu {spec.mtu} netns {pid}"
            yield f"link add {spec.port(host, rail)} master rail{rail} {end}"
            yield f"link set {spec.port(host, rail)} up"


def host_lines(spec: LabSpec, host: int) -> Iterator[str]:
    """For ip in a host: its addresses."""
    for rail, nic in enumerate(spec.nics):
        yield f"address add {spec.address(host, rail)}/24 brd + dev {nic}"
        yield f"link set {nic} up"


def rate_lines(spec: LabSpec, host: int, rail: int, rate: int) -> tuple[str, str]:
    """For tc in the host and where the switches are: the line rate of a NIC, out of the host and into it.

    The rate counts whole frames, so that a stream of TCP gets 95.6 % of it with an MTU of 1500 and 99.1 % with 9001.
    tbf and not htb, because there is but one class.
    """
    burst = max(BURST, round(rate / 8 * _BURST_SECONDS))
    shaped = f"root tbf rate {rate}bit burst {burst} limit"
    return (
        f"qdisc replace dev {spec.nics[rail]} {shaped} {burst + _HOST_QUEUE}",
        f"qdisc replace dev {spec.port(host, rail)} {shaped} {burst + spec.buffer}",
    )


def parse_rate(text: str) -> int:
    """Bits per second from a text like 1gbit, 2.5gbit or 200mbit; raises ValueError."""
    found = re.fullmatch(r"([\d.]+)(kbit|mbit|gbit)", text.lower())
    if found is None:
        raise ValueError(f"{text!r} is no rate; write it like 200mbit or 1gbit")
    return round(float(found[1]) * _UNITS[found[2]])
