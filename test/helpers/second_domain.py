"""A ROS domain of this test process's own, beside the one of conftest.py."""

from __future__ import annotations

from domains import take_domain

SECOND_DOMAIN = take_domain()
