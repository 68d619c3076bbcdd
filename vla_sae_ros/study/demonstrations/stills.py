"""Staged pictures: every one shows a layout of its own and is labelled for every instruction.

A policy that has seen two hundred layouts knows those by heart and no other. A still needs no
physics: the hand is put where a disturbed demonstration would have come to, rehearsed in the
mind; two pictures are rendered; and for each instruction the expert's next actions are
rehearsed from there. Grasps and other contacts are for demonstrations to teach.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, complaint
from vla_sae_ros.core.picture_record import write_picture_record
from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import FloatArray, Layout, ObjectPose, Observation
from vla_sae_ros.sim.expert import DOWN, expert_action
from vla_sae_ros.sim.layout import rearranged
from vla_sae_ros.sim.libero import IMAGE_SIZE, LiberoEnvironment
from vla_sae_ros.sim.noise import ActionNoise, NoiseSettings
from vla_sae_ros.sim.rehearsal import Grip, Rehearsal
from vla_sae_ros.sim.splits import (
    EVALUATION_INIT_STATES,
    TRAINING_INIT_STATES,
    TRAINING_SEEDS,
)
from vla_sae_ros.sim.staging import PosedScene
from vla_sae_ros.study.demonstrations.scripted import (
    EpisodePlan,
    SceneTargets,
    halved,
    task_of,
)
from vla_sae_ros.study.demonstrations.still_files import (
    Stills,
    StillsInfo,
    read_stills_index,
    write_stills,
)

BLOCK = 50
"""Stills per file."""
CHUNK = 10
MOVE_OBJECTS_M = 0.05
SHUFFLED_SHARE = 0.75
FAR_START_SHARE = 0.5
"""Of the rehearsals that start anywhere instead of at the init state's pose."""
WORKSPACE = (np.array([-0.28, -0.33, 0.06]), np.array([0.22, 0.33, 0.30]))
"""Corners of the box from which those starts are drawn, metres."""
CLOSED_SHARE = 0.2
"""Of those that start with closed fingers."""
TILT_RAD = 0.03
REHEARSED_STEPS = 110
ATTEMPTS = 300


@dataclass(frozen=True)
class _Scenery:
    """What a block of stills is made from."""

    environment: LiberoEnvironment
    scene: SceneTargets
    start: Observation
    rest: dict[str, ObjectPose]
    grips: dict[str, Grip]


def make_stills(
    folder: Path, scene: SceneTargets, blocks: int, first_seed: int, held_out: bool = False
) -> int:
    """Make `blocks` files of BLOCK stills, skipping those already there; returns how many.

    `held_out` uses the init states and seeds that training never sees.
    """
    if held_out == (first_seed in TRAINING_SEEDS):
        raise ConfigurationError(
            complaint(
                "Stills cannot have this seed",
                first_seed,
                "1,000,000 or more held out, less for training",
            )
        )
    have = {info.file for info in read_stills_index(folder)}
    environment = LiberoEnvironment()
    made = 0
    try:
        write_picture_record(folder, environment.picture_record)
        grips = {target: learn_grip(environment, scene, target) for target in scene.targets}
        for seed in tqdm(range(first_seed, first_seed + blocks), desc="stills", unit="block"):
            if _file_name(scene, seed) not in have:
                made += _make_block(environment, folder, scene, grips, seed, held_out)
    finally:
        environment.close()
    return made


def learn_grip(environment: LiberoEnvironment, scene: SceneTargets, target: str) -> Grip:
    """Let the expert lift the target once and see how far apart the fingers stay.

    Raises SimulationError when it does not get it off the floor.
    """
    plan = EpisodePlan(scene.task_index, target, TRAINING_INIT_STATES[0], 0, Layout())
    observation = environment.reset(task_of(plan), plan.init_state, plan.seed)
    floor = environment.object_positions()[target][2]
    for _ in range(REHEARSED_STEPS):
        state = environment.privileged(observation)
        if target in state.grasped and state.poses[target].position[2] > floor + 0.05:
            return Grip(float(observation.gripper_qpos[0] - observation.gripper_qpos[1]))
        observation = environment.step(expert_action(state, target)).observation
    raise SimulationError(f"The expert did not lift {target} in task {scene.task_index}'s scene.")


def _file_name(scene: SceneTargets, seed: int) -> str:
    return f"stills_libero_object_{scene.task_index}_{seed:06d}.npz"


def _make_block(
    environment: LiberoEnvironment,
    folder: Path,
    scene: SceneTargets,
    grips: dict[str, Grip],
    seed: int,
    held_out: bool,
) -> int:
    draw = np.random.default_rng([seed, 5])
    init_states = EVALUATION_INIT_STATES if held_out else TRAINING_INIT_STATES
    init_state = int(draw.choice(init_states))
    plans = [
        EpisodePlan(scene.task_index, target, init_state, seed, Layout())
        for target in scene.targets
    ]
    start = environment.reset(task_of(plans[0]), init_state, seed)
    scenery = _Scenery(environment, scene, start, environment.object_poses(), grips)
    posed = PosedScene(environment)
    rows = [_make_still(scenery, posed, draw) for _ in range(BLOCK)]
    columns = {name: np.stack([row[name] for row in rows]) for name in Stills.__annotations__}
    info = StillsInfo(
        file=_file_name(scene, seed),
        suite="libero_object",
        task_index=scene.task_index,
        init_state=init_state,
        seed=seed,
        targets=scene.targets,
        instructions=tuple(task_of(plan).instruction for plan in plans),
        objects=tuple(sorted(scenery.rest)),
        stills=BLOCK,
    )
    write_stills(folder, info, Stills(**columns))
    return BLOCK


def _make_still(
    scenery: _Scenery, posed: PosedScene, draw: np.random.Generator
) -> dict[str, np.ndarray]:
    """Rehearse until a moment can be staged, and return it with its labels."""
    targets = scenery.scene.targets
    for _ in range(ATTEMPTS):
        layout = Layout(MOVE_OBJECTS_M, shuffle=bool(draw.random() < SHUFFLED_SHARE))
        poses = _arranged(scenery.rest, layout, int(draw.integers(2**31)))
        chosen = int(draw.integers(len(targets)))
        moment = _rehearse(scenery, poses, targets[chosen], draw)
        state = moment.state
        if posed.put(state.observation, state.poses, moment.held):
            return _described(scenery, posed, moment, chosen)
    raise SimulationError(f"No still could be staged in {ATTEMPTS} attempts.")


def _arranged(rest: dict[str, ObjectPose], layout: Layout, seed: int) -> dict[str, ObjectPose]:
    places = rearranged({name: pose.position for name, pose in rest.items()}, layout, seed)
    return {
        name: ObjectPose(np.array([*places[name], pose.position[2]]), pose.quaternion)
        for name, pose in rest.items()
    }


def _rehearse(
    scenery: _Scenery, poses: dict[str, ObjectPose], target: str, draw: np.random.Generator
) -> Rehearsal:
    """Return a random moment of a disturbed demonstration, up to the letting go."""
    start = scenery.start
    if draw.random() < FAR_START_SHARE:
        start = _somewhere(draw)
    hand = Rehearsal(start, poses, target, scenery.grips[target])
    noise = ActionNoise(NoiseSettings(), draw)
    moments = [hand.copy()]
    wanted = int(draw.integers(REHEARSED_STEPS))
    while len(moments) <= wanted and not hand.dropped:
        action, _ = noise.disturb(expert_action(hand.state, target))
        hand.step(action)
        moments.append(hand.copy())
    return moments[-1] if not hand.dropped else moments[int(draw.integers(len(moments)))]


def _somewhere(draw: np.random.Generator) -> Observation:
    tilted = Rotation.from_rotvec(draw.normal(0.0, TILT_RAD, 3)) * DOWN
    width = 0.001 if draw.random() < CLOSED_SHARE else 0.0775
    return Observation(
        np.full(7, np.nan),
        draw.uniform(*WORKSPACE),
        tilted.as_quat(),
        np.array([width / 2, -width / 2]),
    )


def _described(
    scenery: _Scenery, posed: PosedScene, moment: Rehearsal, chosen: int
) -> dict[str, np.ndarray]:
    environment, targets = scenery.environment, scenery.scene.targets
    state = moment.state
    places = np.array([state.poses[name].position for name in sorted(state.poses)])
    chunks = []
    for number, target in enumerate(targets):
        # On another's way the hand would come from elsewhere: its motion says nothing.
        hand = (
            moment.copy()
            if number == chosen
            else Rehearsal(state.observation, state.poses, target, scenery.grips[target])
        )
        chunks.append(rehearsed_chunk(hand, target))
    return {
        "pictures": np.stack([halved(posed.render(name)) for name in environment.cameras]),
        "states": libero_state(state.observation).astype(np.float32),
        "chunks": np.array(chunks, np.float32),
        "landmarks": (places - state.observation.ee_position).astype(np.float32),
        "pixels": np.stack(
            [(posed.pixels(name, places) + 0.5) / IMAGE_SIZE for name in environment.cameras]
        ).astype(np.float32),
        "chosen": np.array(chosen, np.int32),
        "held": np.array(moment.held is not None),
    }


def rehearsed_chunk(hand: Rehearsal, target: str) -> FloatArray:
    """Return the expert's next actions (CHUNK, 7) as it would give them, undisturbed."""
    actions = []
    for _ in range(CHUNK):
        actions.append(expert_action(hand.state, target))
        hand.step(actions[-1])
    return np.array(actions)
