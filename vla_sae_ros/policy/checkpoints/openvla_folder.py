"""Loading OpenVLA's own folders, in its own environment; nothing here imports lerobot."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.policy.checkpoints.checkpoint_files import CONFIG
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.checkpoints.openvla_processing import (
    prompt_of,
    robot_gripper,
    shown_picture,
)
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.policy.checkpoints.remote_code import HOW_TO_TRUST

CAMERA = "observation.images.image"
"""What OpenVLA's one picture is called: LIBERO's agentview by itself, others by `map`."""
PICTURE_SIZE = "picture_size"
"""Of the batch: (1, 2) height and width of the picture before it was made square."""
STATISTICS = "dataset_statistics.json"
OFT_HEAD = "action_head--*.pt"
"""In folders of OpenVLA-OFT, whose config.json says that they are OpenVLA's."""
MODEL_CLASS = "AutoModelForVision2Seq"
"""By which the folder's code registers its model; transformers 5, lerobot's, has it no longer."""
OWN_PYTHON = (
    "It needs an environment of its own, with transformers 4.40.1: docs/families.md says how to "
    "make it (environments/openvla). Run commands with its Python, .venv-openvla/bin/vla-sae, or "
    "the policy node alone: vla-sae up --policy-python .venv-openvla/bin/python."
)
_LIBERO = "libero"
_log = logging.getLogger(__name__)


class OpenVLAPolicy(nn.Module):
    """OpenVLA's model with what an engine asks of a policy.

    Args:
        model: an OpenVLAForActionPrediction.
        unnorm_key: data set whose statistics turn its tokens into actions.
    """

    name = "openvla"

    def __init__(self, model: Any, unnorm_key: str) -> None:
        super().__init__()
        self.model, self.unnorm_key = model, unnorm_key
        width = int(model.get_action_dim(unnorm_key))
        self.config = SimpleNamespace(
            input_features={CAMERA: _feature("VISUAL", (3, 224, 224))},
            output_features={"action": _feature("ACTION", (width,))},
            chunk_size=1,
        )

    @property
    def crops(self) -> bool:
        """Whether pictures are cropped and the gripper is LIBERO's, as its own evaluation does."""
        return self.unnorm_key.startswith(_LIBERO)


@dataclass(frozen=True)
class OpenVLAInputs:
    """Turns an observation into what the model takes, a batch of one."""

    processor: Any
    policy: OpenVLAPolicy

    def __call__(self, frame: Mapping[str, Any]) -> dict[str, Tensor]:
        picture = np.rint(frame[CAMERA].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        shown = shown_picture(picture, self.policy.crops)
        first = next(self.policy.model.parameters())
        made = self.processor(prompt_of(str(frame["task"])), _image(shown), return_tensors="pt")
        batch = {name: value.to(first.device) for name, value in made.items()}
        batch["pixel_values"] = batch["pixel_values"].to(first.dtype)
        return batch | {PICTURE_SIZE: torch.tensor([picture.shape[:2]])}


@dataclass(frozen=True)
class OpenVLAActions:
    """Turns the model's actions into the robot's."""

    policy: OpenVLAPolicy

    def __call__(self, chunk: Tensor) -> Tensor:
        return robot_gripper(chunk) if self.policy.crops else chunk


def is_openvla(folder: Path) -> bool:
    """Return whether a folder's config.json is OpenVLA's."""
    try:
        config = parse_json((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "openvla"


def load_openvla(
    folder: Path, device: str = "cpu", unnorm_key: str = "", trust_remote_code: bool = False
) -> LoadedPolicy:
    """Load an OpenVLA folder with transformers and the code that comes with it.

    Args:
        folder: as OpenVLA's training saves it.
        device: torch's. On a CPU the model is float32, elsewhere bfloat16.
        unnorm_key: data set whose statistics turn tokens into actions; may be left out where there
            is one only.
        trust_remote_code: run the code that comes with the folder; it cannot be loaded without.

    Raises:
        ConfigurationError: it cannot be loaded, or the data set is not among its own.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if any(folder.glob(OFT_HEAD)):
        raise ConfigurationError(
            f"{folder} is an OpenVLA-OFT checkpoint ({OFT_HEAD}), which cannot be loaded. It needs "
            "its authors' own transformers, which attends in both directions, and their repository "
            "beside the folder; docs/families.md has the reasons. Name an OpenVLA checkpoint."
        )
    if not weights:
        raise ConfigurationError(f"{folder} is an OpenVLA checkpoint without *.safetensors.")
    if not trust_remote_code:
        raise ConfigurationError(
            f"{folder} is an OpenVLA checkpoint and contains its own code (*.py), which would run "
            f"in this process. {HOW_TO_TRUST}"
        )
    own = folder / STATISTICS
    fine_tuned = _read_statistics(own) if own.is_file() else None
    model, processor = _pretrained(folder, device)
    if fine_tuned is not None:
        model.norm_stats = fine_tuned
    policy = OpenVLAPolicy(model, _data_set(model.norm_stats, unnorm_key, folder)).eval()
    return LoadedPolicy(
        policy,
        OpenVLAInputs(processor, policy),
        OpenVLAActions(policy),
        f"openvla from {folder.resolve().name} ({policy.unnorm_key})",
        policy_id_of(*weights),
        policy.config,
        policy.unnorm_key,
    )


def _read_statistics(path: Path) -> dict[str, Any]:
    """Return data set -> its statistics; raises ConfigurationError for anything else."""
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Copy it again.") from error
    if not isinstance(content, dict) or not content:
        raise ConfigurationError(complaint(f"content of {path}", content, "data sets' statistics"))
    return content


def _require_finite(statistics: Mapping[str, Any], data_set: str, folder: Path) -> None:
    """Refuse bounds of actions by which OpenVLA could not scale."""
    try:
        action = statistics[data_set]["action"]
        bounds = np.array([action["q01"], action["q99"]], float)
        fine = bounds.ndim == 2 and bool(np.isfinite(bounds).all())
    except (KeyError, TypeError, ValueError):
        fine = False
    if not fine:
        raise ConfigurationError(
            f"The statistics of {data_set} in {folder} lack finite bounds of actions (action.q01 "
            "and action.q99, as many numbers each). Copy the folder again."
        )


def _data_set(statistics: Mapping[str, Any], wanted: str, folder: Path) -> str:
    known = sorted(statistics)
    chosen = known[0] if not wanted and len(known) == 1 else wanted
    if chosen in known:
        _require_finite(statistics, chosen, folder)
        return chosen
    raise ConfigurationError(
        complaint(
            f"unnorm_key for {folder}",
            wanted or "none",
            known,
            "It names the data set whose statistics turn the policy's tokens into actions.",
        )
    )


def _pretrained(folder: Path, device: str) -> tuple[Any, Any]:
    """Return model and processor; both run code that lies in the folder."""
    import transformers

    if not hasattr(transformers, MODEL_CLASS):
        raise ConfigurationError(
            f"{folder} is an OpenVLA checkpoint, and its code does not run with transformers "
            f"{transformers.__version__}, which this Python ({sys.executable}) has. {OWN_PYTHON}"
        )
    _log.warning("%s contains its own code, which runs in this process.", folder)
    dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    try:
        model = getattr(transformers, MODEL_CLASS).from_pretrained(
            folder, torch_dtype=dtype, low_cpu_mem_usage=True, trust_remote_code=True
        )
        processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    except Exception as error:  # somebody else's code raises anything
        raise ConfigurationError(
            f"OpenVLA in {folder} could not be loaded: {type(error).__name__}: {error}. "
            f"{OWN_PYTHON}"
        ) from error
    return model.to(device), processor


def _image(picture: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(picture)


def _feature(kind: str, shape: tuple[int, ...]) -> SimpleNamespace:
    """Return a feature as lerobot's configurations have them."""
    return SimpleNamespace(type=SimpleNamespace(name=kind), shape=shape)
