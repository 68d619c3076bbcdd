"""Hand labels of features, general or memorized, as a file for one bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.settings import read_settings
from vla_sae_ros.core.yaml_document import read_yaml

CLASSES = ("general", "memorized")


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
        document = read_yaml(path)
        try:
            file = read_settings(_File, document, "the labels")
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error
        if file.bundle_id != bundle_id:
            raise ConfigurationError(
                complaint(
                    f"bundle of the labels {path}",
                    file.bundle_id,
                    bundle_id,
                    "Label this bundle's features, or give the bundle that was labelled.",
                )
            )
        if not file.labels:
            raise ConfigurationError(complaint(f"labels in {path}", "none", "feature: class"))
        for feature in file.labels:
            if not 0 <= feature < dictionary_size:
                allowed = f"integers from 0 to {dictionary_size - 1}"
                raise ConfigurationError(complaint(f"feature in {path}", feature, allowed))
        return cls(bundle_id, dict(file.labels))


@dataclass(frozen=True)
class _File:
    bundle_id: str
    labels: dict[int, Literal["general", "memorized"]]
