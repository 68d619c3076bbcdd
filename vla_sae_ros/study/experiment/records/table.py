"""The table of an experiment: what every run was, and what came of it.

    STUDY/study.yaml             the study file of the last run
    STUDY/table.parquet          one row per run and protocol, `Row`
    STUDY/files/<run_id>.npz     what happened in it: `files.Trajectory`, `Responses` or `Latency`
    STUDY/videos/<run_id>.mp4    of the runs that were asked for

A run is a closed-loop rollout (kind "rollout": P2, P3, P4), one pass of an arm over all open-loop
observations (kind "open_loop": P1), or one pass of the latency measurement (kind "latency": P5).
Its `run_id` is the hash of everything that decides it. A run that serves two protocols or arms, as
the plain rollout of P2 and P3 does, has a row in each, with the same id and file.

How rows belong together:

* `pair` is the same in all runs from the same initial state: suite, task, init state, seed, layout.
  The baseline of a row is the row with the same `protocol` and `pair` whose `arm` is "none".
* `dose` is the same for a feature and its controls: site, mode, unit, strength, window, condition
  and controller.
* The controls of an arm "feature" are the rows with the same `protocol` and `dose`, with `arm`
  "random_row" or "gaussian", and with `carrier` -1 or that of the feature's row: their
  ||dx|| / ||x|| on the same residual stream is the feature's, only the direction is another.
* Arms "random_alive" are other features at the same `dose`, each with its own activation, so their
  ||dx|| is their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.core.whole_file import whole_file
from vla_sae_ros.sim.environment import LIBERO

TABLE_FILE = "table.parquet"
FILES_FOLDER = "files"
STUDY_FILE = "study.yaml"
"""The study file of the last run."""
VIDEOS_FOLDER = "videos"

PROTOCOLS = ("P1", "P2", "P3", "P4", "P5")
KINDS = ("rollout", "open_loop", "latency")
ARMS = (
    "none",  # no hook on the policy at all
    "zero",  # hooks with an edit of strength 0: bit-identical to "none"
    "feature",
    "random_row",  # the feature's change along another feature's decoder row
    "gaussian",  # the same along a Gaussian direction
    "random_alive",  # another feature that is not dead, drawn at random
    "mean_difference",  # along the difference of mean activations between two kinds of episodes
    "prompt",  # no hook, another instruction
    "noise",  # no hook, another seed of the policy's noise: baseline against baseline
    "injection",  # another episode's residual stream at a site in the place of its own
    "top_general",  # P3: several features projected out at once, as are the next four
    "random_general",
    "random_memorized",
    "random_any",  # of any class, if they are not dead
    "chosen",  # those that the study names
)


@dataclass(frozen=True)
class Row:
    """One run in one protocol.

    What it was:
        run_id: 16 hex digits, the hash of all settings that decide the run.
        study, protocol (of PROTOCOLS), kind (of KINDS), arm (of ARMS).
        arm_name: the arm in words, e.g. "expert.1 feature 80 add +0.5 residual_norm"; the same for
            all runs of one arm at one dose, and for no others.
        policy_id, bundle_id: content ids; bundle_id is empty where no SAE was used.
    What was changed; empty, -1 or 0 where nothing was:
        site: e.g. "expert.1".
        features: ids whose own decoder row was the direction; several in P3.
        label: of the feature, from the study file or the SAE's catalogue.
        feature_class: "general", "memorized", "dead" or "" from the catalogue.
        direction: "row:<feature>" (a decoder row, the feature's own or another's),
            "gaussian:<seed>:<number>" or "mean_difference:<content id>"; several are joined by "+".
            Of an injection "injection:" and the donor's pair, and the tokens if not all.
        carrier: the feature whose activation sets the size of the change (clamp, scale, and add in
            observed maxima); -1 where the strength alone does (add in residual norms, project_out).
        mode: "clamp", "add", "scale" or "project_out". unit: "residual_norm" (fractions of the mean
            residual norm), "observed_max" (multiples of the feature's observed maximum), "factor"
            (of a scale), "token_norm" (P4: fractions of each token's own norm), or "" for
            project_out.
        strength: signed, in `unit`; 0 for project_out and where nothing was changed.
        window_event, window_from, window_to: the change acts in the control steps [from, to) from
            the event on; event "start" is the episode's first step; to = -1: until the end.
        condition: in these steps it acts only while this holds, as a preset's `when:` says it in
            one line; empty: always.
        control: what sets the share of the strength that acts, in the same form; empty: nothing,
            all of it acts.
        dose: text, see above.
    Where:
        pair: text, see above; "observations" in open loop.
        suite, task: e.g. "libero_object", "0" or "0:butter_1". instruction: what the policy was
            told. task_instruction: what counts as success.
        init_state, seed: of the environment. noise_seed: of the policy's noise. moved_m: how far
            objects were moved at most [m]. exchanged: two objects' names joined by ",", or "".
    What came of it:
        success: LIBERO's predicate; always false where kind is not "rollout".
        steps: control steps; answers in open loop; inferences in a latency run.
        actions_sha256: of all actions that were executed (answered, in open loop), as float32.
        edit_ratio: mean ||dx|| / ||x|| after the cap over the inferences in which the change acted
            (dx was not 0); 0 where it never did.
        capped_share: share of those inferences in which the cap shortened dx.
        acted_share: share of all inferences in which the change acted.
        file, video: paths below the study's folder; video is empty where none was asked for.
    How:
        seconds: wall time of the run. worker: host and process that made it.
        attempt: 1, or more where a worker was lost in earlier ones.
        software: version of this package.
        render_quality: of the pictures, "full" or "quick". policy_batch: for how many simulations
            the policy inferred at once at most; runs of a batch round otherwise than those alone.
        compiled: torch.compile made the policy's graph; it rounds otherwise than the policy itself.
        env: where episodes are from, "libero" or as `--env` names it.
    """

    run_id: str
    study: str
    protocol: str
    kind: str
    arm: str
    arm_name: str
    policy_id: str
    bundle_id: str
    site: str
    features: tuple[int, ...]
    label: str
    feature_class: str
    direction: str
    carrier: int
    mode: str
    unit: str
    strength: float
    window_event: str
    window_from: int
    window_to: int
    dose: str
    pair: str
    suite: str
    task: str
    instruction: str
    task_instruction: str
    init_state: int
    seed: int
    noise_seed: int
    moved_m: float
    exchanged: str
    success: bool
    steps: int
    actions_sha256: str
    edit_ratio: float
    capped_share: float
    acted_share: float
    file: str
    video: str
    seconds: float
    worker: str
    attempt: int
    software: str
    render_quality: str = "full"
    policy_batch: int = 1
    env: str = LIBERO
    condition: str = ""
    control: str = ""
    compiled: bool = False


_TYPES = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "tuple[int, ...]": pa.list_(pa.int64()),
}
_BEFORE = {
    "render_quality": "full",
    "policy_batch": 1,
    "env": LIBERO,
    "condition": "",
    "control": "",
    "compiled": False,
}
"""What a table means that was written before it had these columns."""
SCHEMA = pa.schema([pa.field(one.name, _TYPES[str(one.type)]) for one in fields(Row)])


def write_table(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the study's table, replacing an older one whole; return its path."""
    path = folder / TABLE_FILE
    with whole_file(path) as part:
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], SCHEMA), part)
    return path


def read_table(folder: Path) -> list[Row]:
    """Read a study's table.

    Raises:
        RecordingError: there is none, it is damaged, or its columns are not those of `Row`.
    """
    path = folder / TABLE_FILE
    if not path.is_file():
        raise RecordingError(
            f"{folder} contains no {TABLE_FILE}: no run of a study has finished there. Run vla-sae "
            "evaluate first."
        )
    again = "Run vla-sae evaluate again: finished runs are kept, the table is rebuilt."
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path} is damaged ({error}). {again}") from error
    for name, before in _BEFORE.items():
        if name not in table.column_names:
            table = table.append_column(SCHEMA.field(name), pa.array([before] * len(table)))
    if not table.schema.equals(SCHEMA):
        differing = sorted(set(table.column_names) ^ set(SCHEMA.names)) or "their types"
        raise RecordingError(
            complaint(
                f"columns of {path}",
                differing,
                "those of this version",
                again,
            )
        )
    return [Row(**{**each, "features": tuple(each["features"])}) for each in table.to_pylist()]
