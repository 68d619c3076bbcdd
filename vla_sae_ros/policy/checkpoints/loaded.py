"""What an engine needs of a policy; no lerobot in here: other environments may serve, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.pretrained import PreTrainedPolicy
    from lerobot.processor import PolicyProcessorPipeline


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy in evaluation mode, with what turns observations into its batches."""

    policy: PreTrainedPolicy
    preprocessor: PolicyProcessorPipeline[dict[str, Any], dict[str, Any]]
    postprocessor: PolicyProcessorPipeline[Any, Any]
    name: str
    """The policy's type and folder, for people."""
    policy_id: str
    """First 16 hex digits of the SHA-256 of the weights: which policy this is."""
    config: PreTrainedConfig
    unnorm_key: str = ""
    """Of OpenVLA: data set whose statistics turn its tokens into actions; it decides the actions
    beside the weights."""

    @property
    def chunk_length(self) -> int | None:
        """Actions of an inference at most; None where the configuration does not say."""
        length: int | None = getattr(self.config, "chunk_size", None)
        return length
