"""Packet filters for cgroups, in the kernel's BPF: a few instructions, made and attached here.

The layout of `struct __sk_buff`, of `union bpf_attr` and of instructions is the kernel's ABI
(linux/bpf.h); it's the same on all little-endian machines.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

_SYSCALL = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH = 5, 8, 9
_CGROUP_SKB = 8
_EGRESS = 1
_ALLOW_MULTI = 2
_REMOTE_PORT, _LOCAL_PORT = 132, 136
_ATTR_BYTES = 128


def _instruction(
    code: int, into: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    return struct.pack("<BBhI", code, (source << 4) | into, offset, value)


def _load(into: int, offset: int) -> bytes:
    return _instruction(0x61, into, 1, offset)


def _return(value: int) -> bytes:
    return _instruction(0xB7, 0, value=value) + _instruction(0x95)


def drop_all() -> bytes:
    """Return a filter that lets nothing through."""
    return _return(0)


def drop_ports(ports: Iterable[int]) -> bytes:
    """Return a filter that drops what comes from or goes to one of these TCP ports."""
    local = sorted(set(ports))
    if not local:
        return _return(1)  # the kernel refuses what can't be reached
    remote = [(port >> 8 | (port & 0xFF) << 8) << 16 for port in local]  # as the kernel has them
    jumps = 2 * len(local)
    made = [_load(2, _LOCAL_PORT), _load(3, _REMOTE_PORT)]
    for at, (register, value) in enumerate([(2, p) for p in local] + [(3, p) for p in remote]):
        # Jump, if it's this one, over the other comparisons and over "let it through".
        made.append(_instruction(0x16, register, offset=jumps - at - 1 + 2, value=value))
    return b"".join(made) + _return(1) + _return(0)


def attach(folder: int, program: bytes) -> int:
    """Filter with `program` what the processes of a cgroup (its open folder) send from now on.

    Returns:
        What `detach` needs.

    Raises:
        OSError: If this user or kernel can't.
    """
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    loaded = _bpf(
        _PROG_LOAD,
        struct.pack(
            "<IIQQ", _CGROUP_SKB, len(program) // 8, ctypes.addressof(code),
            ctypes.addressof(licence),
        ),
    )  # fmt: skip
    try:
        _bpf(_PROG_ATTACH, struct.pack("<IIII", folder, loaded, _EGRESS, _ALLOW_MULTI))
    except OSError:
        os.close(loaded)
        raise
    return loaded


def detach(folder: int, program: int) -> None:
    """End what `attach` began."""
    try:
        _bpf(_PROG_DETACH, struct.pack("<III", folder, program, _EGRESS))
    finally:
        os.close(program)


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise OSError("not on this kind of machine")
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(attributes, _ATTR_BYTES)
    done: int = libc.syscall(number, command, data, _ATTR_BYTES)
    if done < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return done
