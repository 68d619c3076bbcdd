"""The simulation bridge's parameters."""

from __future__ import annotations

from vla_sae_ros.nodes.base.parameters import Parameter, Value
from vla_sae_ros.nodes.episode.episode import Pacing

LARGEST_SEED = 2**32 - 1
"""What numpy's global generator, which seeds LIBERO's scenes, takes."""

_PACING = Pacing(control_rate=20.0)

PARAMETERS = (
    Parameter(
        "contract",
        "",
        "contract file that says how actions are bounded and what holding "
        "still is; empty = LIBERO's",
    ),
    Parameter("suite", "libero_object", "suite of a goal that names none"),
    Parameter("task", 0, "task of a goal that names no suite", minimum=0, maximum=1000),
    Parameter(
        "autorun", False, "run an episode of this suite and task as soon as there is a policy"
    ),
    Parameter("init_state", 0, "initial state of the autorun episode", minimum=0, maximum=10_000),
    Parameter("seed", 0, "seed of the autorun episode", minimum=0, maximum=LARGEST_SEED),
    Parameter(
        "clock",
        "lockstep",
        "clock of a goal that names none: lockstep waits for every "
        "chunk, realtime ticks at the control rate whether or not one is there",
        choices=("lockstep", "realtime"),
    ),
    Parameter(
        "execute_steps",
        _PACING.execute_steps,
        "ticks of a chunk that are executed before the next one is due",
        unit="control ticks",
        minimum=1,
        maximum=1000,
    ),
    Parameter(
        "request_lead",
        _PACING.request_lead,
        "realtime: the next chunk is asked for at least this long before the present one ends",
        unit="control ticks",
        minimum=0,
        maximum=1000,
    ),
    Parameter(
        "chunk_timeout",
        _PACING.chunk_timeout,
        "lockstep: longest wait for a chunk, then the episode ends with an error",
        unit="s",
        minimum=0.1,
        maximum=3600.0,
    ),
    Parameter(
        "resend_after",
        _PACING.resend_after,
        "a request without an answer is sent again after this time",
        unit="s",
        minimum=0.05,
        maximum=600.0,
    ),
    Parameter(
        "image_rate",
        _PACING.image_rate,
        "pictures between requests, for people; 0 = none",
        unit="Hz",
        minimum=0.0,
        maximum=100.0,
    ),
    Parameter(
        "render_quality",
        "quick",
        "quick renders without reflections and multisampling, full as LIBERO does",
        choices=("quick", "full"),
    ),
    Parameter(
        "reset_timeout",
        120.0,
        "longest reset, building the scene included",
        unit="s",
        minimum=1.0,
        maximum=3600.0,
    ),
    Parameter(
        "step_timeout",
        20.0,
        "longest control step or picture",
        unit="s",
        minimum=0.1,
        maximum=600.0,
    ),
)


def pacing(values: dict[str, Value], control_rate: float) -> Pacing:
    """Return the pacing among the node's parameters; control_rate in Hz."""
    return Pacing(
        control_rate=control_rate,
        execute_steps=int(values["execute_steps"]),  # type: ignore[arg-type]
        request_lead=int(values["request_lead"]),  # type: ignore[arg-type]
        chunk_timeout=float(values["chunk_timeout"]),  # type: ignore[arg-type]
        resend_after=float(values["resend_after"]),  # type: ignore[arg-type]
        image_rate=float(values["image_rate"]),  # type: ignore[arg-type]
    )
