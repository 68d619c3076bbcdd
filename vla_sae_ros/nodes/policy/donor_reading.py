"""The donor of an injection: an episode of a bag, inferred again when the policy is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vla_sae_ros.bags.episode_choice import chosen_episode
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import RecordedInference, recorded_inferences
from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.nodes.policy.injected_stream import Donor, InjectedStream
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.policy.donor import Given, given_streams
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.taps.injection import Injection


def injected_stream(
    engine: PolicyEngine, values: PolicyParameters, contract: Contract, tell: Callable[[str], None]
) -> InjectedStream:
    """Attach the injection that the parameters ask for, and infer the donor's episode.

    contract: what the engine observes. tell: is told what takes long, and what was found.

    Raises:
        VlaSaeError: no such site, bag or episode, or an observation that the bag does not hold.
    """
    injection = engine.attach_injection(values.inject_site, values.inject_tokens)
    folder = Path(values.inject).expanduser().absolute()
    with open_bag(folder) as bag:
        inferences = recorded_inferences(bag).inferences
        asked = _one_per_observation(chosen_episode(inferences, values.inject_episode, folder))
        episode = asked[0].episode_id
        tell(f"inferring the {len(asked)} observations of {episode} for its stream")
        frames = RecordedFrames(bag, contract)
        given = list(given_streams(engine, injection, frames.of(asked)))
        for line in bag.findings.in_words():
            tell(f"{folder}: {line}")
    missing = sorted({one.step for one in asked} - {one.step for one in given})
    if missing:
        raise ConfigurationError(
            complaint(
                f"control steps of {episode} whose observation is not whole in {folder}",
                missing,
                "none",
                "Record the donor with pictures, and from its beginning.",
            )
        )
    tell(_compared(asked, given))
    donor = Donor(
        episode, tuple(one.taken for one in given), _facts(injection, folder, episode, len(given))
    )
    return InjectedStream(engine, injection, donor, tell)


def _one_per_observation(inferences: list[RecordedInference]) -> list[RecordedInference]:
    """Return the last inference of each observation, in the order of the observations."""
    return sorted({one.step: one for one in inferences}.values(), key=lambda one: one.step)


def _compared(asked: list[RecordedInference], given: list[Given]) -> str:
    """Say how many chunks are those of the recording: a steered donor had others."""
    recorded = {one.step: one.actions for one in asked}
    same = sum(np.array_equal(one.actions, recorded[one.step]) for one in given)
    return f"{same} of the donor's {len(given)} chunks, inferred without steering, are as recorded"


def _facts(injection: Injection, folder: Path, episode: str, inferences: int) -> dict[str, object]:
    return {
        "injection.site": injection.site.name,
        "injection.tokens": list(injection.groups),
        "injection.bag": str(folder),
        "injection.episode": episode,
        "injection.inferences": inferences,
    }
