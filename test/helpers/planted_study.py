"""Study folders with a known truth: a toy hand whose steering does exactly what is planted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from vla_sae_ros.study.experiment.records.files import Latency, Responses, Trajectory
from vla_sae_ros.study.experiment.records.table import FILES_FOLDER, Row, write_table

RATE = 20.0
SITE = "expert.1"
UP = np.array([0.0, 0.0, 1.0])
OBJECTS = ("alphabet_soup_1", "cream_cheese_1", "butter_1", "basket_1")
TARGETS = ("alphabet soup", "cream cheese", "butter")


@dataclass(frozen=True)
class Planted:
    """What a push of strength 1 does to the toy hand: [m], [share of its pace], [m of opening]."""

    label: str = ""
    feature_class: str = "general"
    higher: float = 0.0
    faster: float = 0.0
    closes: float = 0.0
    aside: float = 0.0


@dataclass(frozen=True)
class Plan:
    """Which study to write; the defaults make a small one."""

    features: Mapping[int, Planted]
    strengths: Sequence[float] = (0.25, 0.5, 1.0)
    tasks: int = 3
    inits: int = 10
    random_rows: int = 4
    gaussians: int = 3
    wobble: float = 0.004
    """[m] by which a random direction of strength 1 moves the hand."""
    every_protocol: bool = False


def write_planted_study(folder: Path, plan: Plan) -> list[Row]:
    """Write table and files of the study; return the rows."""
    (folder / FILES_FOLDER).mkdir(parents=True, exist_ok=True)
    rows = [_rollout(folder, row, truth) for row, truth in _rollouts(plan)]
    if plan.every_protocol:
        rows += [_open_loop(folder, row, truth) for row, truth in _open_loops(plan)]
        rows += list(_latencies(folder))
    write_table(folder, rows)
    return rows


def _rollouts(plan: Plan) -> Iterator[tuple[Row, Planted]]:
    for row in _pairs(plan.tasks, plan.inits, "P2"):
        yield row, Planted()
        yield _arm(row, "zero", SITE, strength=0.0), Planted()
        yield replace(row, arm="noise", arm_name="other noise seed", noise_seed=99), Planted()
        yield (
            replace(
                row, arm="prompt", arm_name="prompt “lift it high”", instruction="lift it high"
            ),
            Planted(higher=0.02),
        )
        for strength in plan.strengths:
            for feature, truth in plan.features.items():
                yield _arm(row, "feature", SITE, strength, feature, truth), truth
            yield from _controls(row, SITE, strength, plan)
            yield _arm(row, "random_alive", SITE, strength, 300), _wobble(plan, "alive", 3.0)
    if plan.every_protocol:
        yield from _ablations(plan)
        yield from _layers(plan)


def _controls(row: Row, site: str, strength: float, plan: Plan) -> Iterator[tuple[Row, Planted]]:
    for arm, count in (("random_row", plan.random_rows), ("gaussian", plan.gaussians)):
        for number in range(count):
            made = _arm(row, arm, site, strength, number=number)
            yield made, _wobble(plan, made.direction)


def _ablations(plan: Plan) -> Iterator[tuple[Row, Planted]]:
    for row in _pairs(plan.tasks, plan.inits, "P3"):
        yield row, Planted()
        for arm, harm in (
            ("top_general", 0.25),
            ("random_general", 0.03),
            ("random_memorized", 0.005),
        ):
            yield (
                replace(
                    row,
                    arm=arm,
                    arm_name=arm,
                    site=SITE,
                    mode="project_out",
                    features=(1, 2, 3, 4),
                    direction="feature:1+2+3+4",
                    dose=f"{SITE} project_out",
                ),
                Planted(aside=harm),
            )


def _layers(plan: Plan) -> Iterator[tuple[Row, Planted]]:
    for row in _pairs(1, 5, "P4"):
        yield row, Planted()
        for layer, share in (
            ("expert.0", 4.0),
            ("expert.1", 2.0),
            ("backbone.0", 1.0),
            ("backbone.1", 0.0),
        ):
            for number in range(10):
                made = _arm(row, "random_row", layer, 1.0, number=number)
                yield made, _wobble(plan, made.direction, share)


def _wobble(plan: Plan, name: str, share: float = 1.0) -> Planted:
    draw = np.random.default_rng(int(sha256(name.encode()).hexdigest()[:8], 16)).normal(size=3)
    x, y, z = share * plan.wobble * draw
    return Planted(higher=float(x), aside=float(y), faster=float(z))


def _pairs(tasks: int, inits: int, protocol: str) -> Iterator[Row]:
    for task in range(tasks):
        for init in range(inits):
            said = f"pick up the {TARGETS[task % 3]} and place it in the basket"
            yield Row(
                run_id="",
                study="planted",
                protocol=protocol,
                kind="rollout",
                arm="none",
                arm_name="plain",
                policy_id="toy-policy",
                bundle_id="toy-sae",
                site="",
                features=(),
                label="",
                feature_class="",
                direction="",
                carrier=-1,
                mode="",
                unit="",
                strength=float("nan"),
                window_event="start",
                window_from=0,
                window_to=-1,
                dose="",
                pair=f"libero_object/{task}/{init}/0",
                suite="libero_object",
                task=str(task),
                instruction=said,
                task_instruction=said,
                init_state=init,
                seed=init,
                noise_seed=0,
                moved_m=0.0,
                exchanged="",
                success=False,
                steps=0,
                actions_sha256="",
                edit_ratio=0.0,
                capped_share=0.0,
                acted_share=0.0,
                file="",
                video="",
                seconds=2.5,
                worker="host-1",
                attempt=1,
                software="0.1.0",
            )


def _arm(
    row: Row,
    arm: str,
    site: str,
    strength: float,
    feature: int = -1,
    truth: Planted = Planted(),
    number: int = 0,
) -> Row:
    what = f"feature {feature}" if feature >= 0 else f"{arm.replace('_', ' ')} {number}"
    direction = (
        f"feature:{feature}"
        if feature >= 0
        else f"row:{500 + number}"
        if arm == "random_row"
        else f"gaussian:{number}"
    )
    return replace(
        row,
        arm=arm,
        site=site,
        features=(feature,) if feature >= 0 else (),
        label=truth.label,
        arm_name=f"{site} {arm} {what} add {strength:+g} residual_norm",
        feature_class=truth.feature_class if feature >= 0 else "",
        direction=direction,
        mode="add",
        unit="residual_norm",
        strength=strength,
        window_event="start",
        window_from=10,
        window_to=-1,
        dose=f"{site} add {strength:g} residual_norm",
        edit_ratio=abs(strength),
        acted_share=1.0 if strength else 0.0,
    )


def _rollout(folder: Path, row: Row, truth: Planted) -> Row:
    strength = 0.0 if np.isnan(row.strength) else row.strength
    push = 1.0 if row.arm in ("prompt", *_ABLATIONS) else strength
    made, success = toy_rollout(int(row.task), row.init_state, row.noise_seed, truth, push)
    run = _named(folder, row, made.to_bytes())
    return replace(
        run,
        success=success,
        steps=len(made.actions),
        actions_sha256=sha256(made.actions.tobytes()).hexdigest(),
    )


_ABLATIONS = ("top_general", "random_general", "random_memorized")


def _named(folder: Path, row: Row, content: bytes) -> Row:
    said = f"{row.arm_name} {row.pair} {row.noise_seed} {row.kind}"
    run_id = sha256(said.encode()).hexdigest()[:16]
    file = f"{FILES_FOLDER}/{run_id}.npz"
    (folder / file).write_bytes(content)
    return replace(row, run_id=run_id, file=file)


def toy_rollout(
    task: int, init: int, noise_seed: int, truth: Planted, push: float
) -> tuple[Trajectory, bool]:
    """Reach, grasp, lift, carry and let go, with what is planted times `push` on top."""
    scene = np.random.default_rng([task, init])
    objects = np.column_stack([[-0.1, 0.0, 0.1, 0.02], [0.15, -0.12, 0.02, 0.28], [0.9] * 4])
    objects[:3, :2] += scene.uniform(-0.03, 0.03, (3, 2))
    target = objects[task % 3]
    steps = int((90 + scene.integers(0, 12)) / (1 + truth.faster * push))
    points = np.array(
        [
            [-0.2, 0.0, 1.16],
            target + 0.12 * UP,
            target,
            target + 0.2 * UP,
            objects[3] + 0.2 * UP,
            objects[3] + 0.1 * UP,
        ]
    )
    time = np.linspace(0, 5, steps + 1)
    path = np.column_stack([np.interp(time, range(6), points[:, i]) for i in range(3)])
    noise = np.random.default_rng([task, init, noise_seed]).normal(0, 0.0012, path.shape)
    acts = np.clip((np.arange(steps + 1) - 10) / 15, 0, 1)
    path += np.cumsum(noise, axis=0)
    path[:, 2] += acts * truth.higher * push
    path[:, 1] += acts * truth.aside * push
    opening = np.clip(
        np.where((time > 2) & (time < 4.8), 0.03, 0.08) - acts * truth.closes * push, 0.0, 0.08
    )
    grasp = np.abs(path - target)[(time > 1.9) & (time < 2.1)].max(initial=0.0)
    held = grasp < 0.045 and truth.closes * push < 0.05
    moving = np.repeat(objects[None], steps + 1, axis=0)
    if held:
        carried = time >= 2
        moving[carried, task % 3] = path[carried]
    actions = np.zeros((steps, 7), np.float32)
    actions[:, :3] = np.diff(path, axis=0) * 20
    actions[:, 6] = np.sign(0.06 - opening[1:])
    return _trajectory(path, opening, actions, moving), bool(held)


def _trajectory(
    path: np.ndarray, opening: np.ndarray, actions: np.ndarray, objects: np.ndarray
) -> Trajectory:
    inferences = np.arange(0, len(actions), 5)
    return Trajectory(
        control_rate=np.array(RATE),
        ee_position=path,
        ee_quaternion=np.tile([0.0, 0.0, 0.0, 1.0], (len(path), 1)),
        gripper_opening=opening,
        actions=actions,
        object_names=np.array(OBJECTS),
        object_positions=objects,
        grasped=np.zeros(objects.shape[:2], bool),
        inference_steps=inferences,
        edit_ratio=np.zeros(len(inferences), np.float32),
        capped=np.zeros(len(inferences), bool),
        feature_sites=np.array([SITE]),
        feature_ids=np.array([80]),
        natural=np.zeros((len(inferences), 1), np.float32),
        applied=np.zeros((len(inferences), 1), np.float32),
    )


def _open_loops(plan: Plan) -> Iterator[tuple[Row, Planted]]:
    plain = replace(next(iter(_pairs(1, 1, "P1"))), kind="open_loop", pair="observations")
    yield plain, Planted()
    yield replace(plain, arm="noise", arm_name="other noise seed", noise_seed=99), Planted()
    for strength in (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0):
        for feature, truth in plan.features.items():
            yield _arm(plain, "feature", SITE, strength, feature, truth), truth
        yield from _controls(plain, SITE, strength, plan)


def _open_loop(folder: Path, row: Row, truth: Planted) -> Row:
    generator = np.random.default_rng([5, row.noise_seed])
    count = 64
    actions = generator.normal(0, 0.3, (count, 10, 7)).astype(np.float32)
    push = 0.0 if np.isnan(row.strength) else row.strength
    share = generator.uniform(0.5, 1.5, (count, 1)).astype(np.float32)
    actions[..., 2] += share * np.float32(5 * truth.higher * push)
    actions[..., 1] += share * np.float32(5 * truth.aside * push)
    actions[..., 6] += share * np.float32(5 * truth.closes * push)
    made = Responses(
        observation=np.array([f"{i // 4}@{i}" for i in range(count)]),
        episode=np.arange(count) // 4,
        noise_seed=np.full(count, row.noise_seed, np.int64),
        actions=actions,
        edit_ratio=np.full(count, abs(push), np.float32),
        capped=np.zeros(count, bool),
        feature_sites=np.array([SITE]),
        feature_ids=np.array([80]),
        natural=np.zeros((count, 1), np.float32),
        applied=np.zeros((count, 1), np.float32),
    )
    run = _named(folder, row, made.to_bytes())
    return replace(run, steps=count, actions_sha256=sha256(actions.tobytes()).hexdigest())


def _latencies(folder: Path) -> Iterator[Row]:
    plain = replace(next(iter(_pairs(1, 1, "P5"))), kind="latency", pair="latency")
    for number, arm in enumerate(("none", "zero", "feature")):
        times = 50 + number + np.random.default_rng(number).gamma(2.0, 1.0, 200)
        made = Latency(times, np.full(200, 0.8), np.array(True), np.array(1 if number else -1))
        yield _named(
            folder, replace(plain, arm=arm, arm_name=f"latency {arm}", steps=200), made.to_bytes()
        )
