"""The simulation bridge's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vla_sae_ros.core.parameters import parameter
from vla_sae_ros.core.picture_record import QUALITIES
from vla_sae_ros.nodes.episode.episode import Pacing
from vla_sae_ros.nodes.episode.person_parameters import PersonParameters
from vla_sae_ros.sim.benchmark import DEFAULT_SUITE
from vla_sae_ros.sim.environment import LIBERO

LARGEST_SEED = 2**32 - 1
"""What numpy's global generator, which seeds LIBERO's scenes, takes."""

_PACING = Pacing(control_rate=20.0)


@dataclass(frozen=True)
class SimBridgeParameters(PersonParameters):
    """The simulation bridge's."""

    env: str = parameter(
        LIBERO,
        "source of episodes: libero, or an environment of lerobot's with its settings, e.g. "
        "metaworld or so101:image_obs=true",
    )
    contract: str = parameter(
        "",
        "contract file that defines the bounds of actions and the action for "
        "holding still; empty = LIBERO's, or the environment's own",
    )
    suite: str = parameter(
        "", f"suite of a goal that names none; empty = {DEFAULT_SUITE}, or the environment's own"
    )
    task: int = parameter(0, "task of a goal that gives no suite", minimum=0, maximum=1000)
    autorun: bool = parameter(
        False, "run an episode of this suite and task as soon as there is a policy"
    )
    init_state: int = parameter(
        0, "initial state of the autorun episode", minimum=0, maximum=10_000
    )
    seed: int = parameter(0, "seed of the autorun episode", minimum=0, maximum=LARGEST_SEED)
    clock: str = parameter(
        "lockstep",
        "clock of a goal that gives none: lockstep waits for every chunk, "
        "realtime ticks at the control rate without waiting",
        choices=("lockstep", "realtime"),
    )
    execute_steps: int = parameter(
        _PACING.execute_steps,
        "ticks of a chunk that are executed before the next one is due",
        unit="control ticks",
        minimum=1,
        maximum=1000,
    )
    request_lead: int = parameter(
        _PACING.request_lead,
        "realtime: the next chunk is requested at least this long before the current one ends",
        unit="control ticks",
        minimum=0,
        maximum=1000,
    )
    chunk_timeout: float = parameter(
        _PACING.chunk_timeout,
        "lockstep: timeout of a chunk, after which the episode ends with an error",
        unit="s",
        minimum=0.1,
        maximum=3600.0,
    )
    resend_after: float = parameter(
        _PACING.resend_after,
        "time after which an unanswered request is repeated",
        unit="s",
        minimum=0.05,
        maximum=600.0,
    )
    image_rate: float = parameter(
        _PACING.image_rate,
        "rate of additional pictures between requests, for viewers; 0 = none",
        unit="Hz",
        minimum=0.0,
        maximum=100.0,
        live=True,
    )
    render_quality: Literal["quick", "full"] = parameter(
        "full",
        "quick = without reflections and multisampling, full = as in LIBERO",
        choices=QUALITIES,
    )
    allow_other_pictures: bool = parameter(
        False,
        "run a policy that was trained on pictures of another render quality; otherwise goals are "
        "refused",
    )
    reset_timeout: float = parameter(
        120.0,
        "timeout of a reset, including building the scene",
        unit="s",
        minimum=1.0,
        maximum=3600.0,
    )
    step_timeout: float = parameter(
        20.0, "timeout of a control step or a picture", unit="s", minimum=0.1, maximum=600.0
    )


def pacing(values: SimBridgeParameters, control_rate: float) -> Pacing:
    """Return the pacing among the node's parameters; control_rate in Hz."""
    return Pacing(
        control_rate=control_rate,
        execute_steps=values.execute_steps,
        request_lead=values.request_lead,
        chunk_timeout=values.chunk_timeout,
        resend_after=values.resend_after,
        image_rate=values.image_rate,
    )
