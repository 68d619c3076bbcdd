"""ROS domains that nobody else is in, held for as long as this process lives."""

from __future__ import annotations

import socket
from collections.abc import Sequence

CANDIDATES = (*range(215, 232), *range(101, 60, -1))
"""Far from 0 and the small numbers that people give to their robots. Domains 102 to 214 have the
ports that Linux hands out to any program (32768 to 60999), and 232 has not room for all of its own.
"""

_held: list[socket.socket] = []


def take_domain(candidates: Sequence[int] = CANDIDATES) -> int:
    """Take a domain that no other test process holds and in which nothing runs; keep it.

    The lock is a name that one process of this network can have; the system frees it when the
    process ends, however it ends.

    Raises:
        RuntimeError: All of them are taken.
    """
    for domain in candidates:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0vla_sae_ros test in ROS_DOMAIN_ID {domain}")  # \0: a name without a file
        except OSError:
            lock.close()
            continue
        if _is_silent(domain):
            _held.append(lock)
            return domain
        lock.close()
    raise RuntimeError(
        f"All {len(candidates)} ROS domains for tests are taken: end the test runs and the nodes "
        f"that are left over."
    )


def _is_silent(domain: int) -> bool:
    """Whether no node of this machine is in the domain: its participants' ports are free.

    A participant's number, which gives its ports, counts the participants of its process in all
    domains: a domain's only node need not be number 0. Beyond number 31 no other finds it here.
    """
    first = 7400 + 250 * domain  # RTPS 9.6.1: multicast, and from 10 on two for each participant
    for port in (first, *range(first + 10, first + 10 + 2 * 32)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True
