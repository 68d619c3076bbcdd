"""The parts of the panel beside the table, in the order of their tabs."""

from __future__ import annotations

from vla_sae_ros.panel.view import ViewSpec

VIEWS: tuple[ViewSpec, ...] = ()
