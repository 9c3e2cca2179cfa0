"""The machine's IPv4 addresses, asked of the C library as the engine does, so that the order is the same."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

from smddp.tools.doctor.facts import Interface

__all__ = ["LOCAL_ONLY", "engine_order", "read_interfaces"]

#: As in native/src/topology/interfaces.cc: bridges of containers and virtual machines, used if nothing else is there.
LOCAL_ONLY = ("docker", "br-", "veth", "virbr", "lxc", "lxd", "cni", "cali", "flannel", "podman")

_LINK_LOCAL = "169.254."
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_SIOCGIFMTU = 0x8921


class _InetAddress(ctypes.Structure):
    """struct sockaddr_in."""

    _fields_ = (("family", ctypes.c_uint16), ("port", ctypes.c_uint16), ("address", ctypes.c_ubyte * 4))


class _Entry(ctypes.Structure):
    """struct ifaddrs."""


_Entry._fields_ = (
    ("next", ctypes.POINTER(_Entry)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(_InetAddress)),
    ("mask", ctypes.POINTER(_InetAddress)),
)


def read_interfaces() -> tuple[Interface, ...]:
    """Return all IPv4 addresses, in the system's order; () if it does not tell."""
    library = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Entry)()
    if library.getifaddrs(ctypes.byref(first)) != 0:
        return ()
    try:
        return tuple(_interface(entry) for entry in _chain(first))
    finally:
        library.freeifaddrs(first)


def engine_order(interfaces: tuple[Interface, ...], spec: str = "") -> tuple[Interface, ...]:
    """Return those by which the engine can be reached from other hosts, the first choice first.

    Args:
        interfaces: all that the host has.
        spec: SMDDP_SOCKET_IFNAME; with it, loopback too, if it is named.
    """
    up = [one for one in interfaces if one.is_up]
    listed = spec.removeprefix("^")
    words = [word for word in listed.removeprefix("=").split(",") if word]

    def is_meant(one: Interface, word: str) -> bool:
        return one.name == word if listed.startswith("=") else one.name.startswith(word)

    if words and not spec.startswith("^"):
        return tuple(dict.fromkeys(one for word in words for one in up if is_meant(one, word)))
    left = [one for one in up if not one.is_loopback and not any(is_meant(one, word) for word in words)]
    return tuple(one for one in left if one.is_likely) or tuple(left)


def _chain(pointer: Any) -> Iterator[Any]:
    while pointer:
        entry = pointer.contents
        if entry.address and entry.address.contents.family == socket.AF_INET:
            yield entry
        pointer = entry.next


def _mtu(name: str) -> int:
    """Asked of the kernel itself: /sys may show another network namespace."""
    request = struct.pack("16si20x", os.fsencode(name)[:15], 0)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            return int(struct.unpack_from("i", fcntl.ioctl(any_socket, _SIOCGIFMTU, request), 16)[0])
    except OSError:
        return 0


def _interface(entry: Any) -> Interface:
    name = os.fsdecode(entry.name)
    address = socket.inet_ntoa(bytes(entry.address.contents.address))
    mask = bytes(entry.mask.contents.address) if entry.mask else b"\xff" * 4
    return Interface(
        name=name,
        address=address,
        prefix=bin(int.from_bytes(mask, "big")).count("1"),
        mtu=_mtu(name),
        is_up=bool(entry.flags & _IFF_UP),
        is_loopback=bool(entry.flags & _IFF_LOOPBACK),
        is_likely=not name.startswith(LOCAL_ONLY) and not address.startswith(_LINK_LOCAL),
    )
