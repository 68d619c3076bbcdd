"""A ROS domain of this test process's own, beside the one of conftest.py."""

from __future__ import annotations

import os

SECOND_DOMAIN = 1 + (os.getpid() + 50) % 101
"""Up to 101: the ports of higher domains are the system's to give to anybody."""
