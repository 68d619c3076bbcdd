"""What the reference version of MuJoCo draws and where it lets objects come to rest.

`python test/helpers/reference_world.py` writes the fingerprint anew: only with that version.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vla_sae_ros.sim.libero import SETTLE_ACTION, LiberoEnvironment
from vla_sae_ros.sim.suites import find_task

FINGERPRINT = Path(__file__).with_suffix(".npz")
TASKS = (
    ("libero_object", 0),
    ("libero_object", 7),
    ("libero_spatial", 0),
    ("libero_spatial", 5),
    ("libero_goal", 0),
    ("libero_10", 0),
)
INIT_STATE = 40
MORE_SETTLING = 15
SIDE = 16


def look_at(environment: LiberoEnvironment, suite: str, task: int) -> dict[str, np.ndarray]:
    """Return both cameras' pictures in 16 x 16 (2, 16, 16, 3) and the objects' places (O, 3), m."""
    environment.reset(find_task(suite, task), INIT_STATE, seed=7)
    for _ in range(MORE_SETTLING):
        environment.step(SETTLE_ACTION)
    places = environment.object_positions()
    pictures = [environment.render(name) for name in environment.cameras]
    small = [picture.reshape(SIDE, 16, SIDE, 16, 3).mean((1, 3)) for picture in pictures]
    return {
        "pictures": np.round(np.stack(small)).astype(np.uint8),
        "places": np.array([places[name] for name in sorted(places)], np.float32),
    }


def main() -> None:
    """Write the fingerprint."""
    environment = LiberoEnvironment()
    seen = {}
    for suite, task in TASKS:
        for name, values in look_at(environment, suite, task).items():
            seen[f"{suite}_{task}_{name}"] = values
    environment.close()
    np.savez_compressed(FINGERPRINT, **seen)


if __name__ == "__main__":
    main()
