"""Hand labels of features, general or memorized, as a file for one bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from vla_sae_ros.core.errors import ConfigurationError, complaint

CLASSES = ("general", "memorized")
_KEYS = {"bundle_id", "labels"}


@dataclass(frozen=True)
class GeneralityLabels:
    """What a person said of some features of one bundle. labels: feature -> of CLASSES."""

    bundle_id: str
    labels: Mapping[int, str]

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], bundle_id: str, dictionary_size: int
    ) -> GeneralityLabels:
        """Read a YAML file `{bundle_id: ..., labels: {12: general, 40: memorized}}`.

        Raises:
            ConfigurationError: no such file, another layout, labels for another bundle, or a
                feature that the bundle does not have.
        """
        path = Path(path)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"Cannot read the labels {path}: {error}.") from error
        if not isinstance(content, dict) or set(content) != _KEYS:
            raise ConfigurationError(complaint(f"keys of the labels {path}", content, _KEYS))
        if content["bundle_id"] != bundle_id:
            raise ConfigurationError(
                complaint(
                    f"bundle of the labels {path}",
                    content["bundle_id"],
                    bundle_id,
                    "Label this bundle's features, or give the bundle that was labelled.",
                )
            )
        labels = content["labels"]
        if not isinstance(labels, dict) or not labels:
            raise ConfigurationError(complaint(f"labels in {path}", labels, "feature: class"))
        for feature, said in labels.items():
            if type(feature) is not int or not 0 <= feature < dictionary_size:
                allowed = f"integers from 0 to {dictionary_size - 1}"
                raise ConfigurationError(complaint(f"feature in {path}", feature, allowed))
            if said not in CLASSES:
                allowed = " or ".join(CLASSES)
                raise ConfigurationError(complaint(f"class of {feature} in {path}", said, allowed))
        return cls(bundle_id, labels)
