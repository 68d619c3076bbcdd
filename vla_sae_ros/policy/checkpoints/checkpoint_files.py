"""The files of a lerobot checkpoint folder, and making it independent of where it was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

CONFIG = "config.json"
VLM_FOLDER = "vlm"
"""Where a saved policy keeps its backbone's configuration and tokenizer, inside its own folder."""
WEIGHTS = "model.safetensors"
PREPROCESSOR = "policy_preprocessor.json"
POSTPROCESSOR = "policy_postprocessor.json"
TOKENIZER_STEP = "tokenizer_processor"
ACTION_TOKENIZER_STEP = "action_tokenizer_processor"


def name_relatively(folder: Path, fields: Mapping[str, str], tokenizer: str) -> None:
    """Let a checkpoint's files name what lies inside its folder relative to the folder.

    Args:
        folder: the checkpoint's.
        fields: of config.json -> folder inside.
        tokenizer: folder inside that holds the tokenizer.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config.update(fields)
    config.pop("pretrained_path", None)
    write_json(folder / CONFIG, config)
    pipeline = json.loads((folder / PREPROCESSOR).read_text(encoding="utf-8"))
    for step in pipeline["steps"]:
        if step.get("registry_name") == TOKENIZER_STEP:
            step["config"]["tokenizer_name"] = tokenizer
    write_json(folder / PREPROCESSOR, pipeline)


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
