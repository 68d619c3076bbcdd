"""Sites: places on the residual stream that can be read and, mostly, edited."""

from __future__ import annotations

from dataclasses import dataclass

LAST_BACKBONE_LAYER = (
    "the action expert reads only keys and values computed from each layer's input, so nothing "
    "reads the output of the last backbone layer"
)


MODULE = "module:"
"""Begins the name of a site that is a module's output, by the module's path."""


@dataclass(frozen=True)
class Site:
    """The residual stream after one decoder layer.

    Attributes:
        name: "<stack>.<layer>", e.g. "backbone.1" or "expert.0"; the same tokens pass all layers
            of a stack. Or "module:<path>", a stack by itself.
        width: d of the residual stream.
        token_groups: kinds of tokens that pass through, of `core.steering.TOKEN_GROUPS`.
        runs_per_inference: 1 for a backbone layer, the denoising steps for an expert layer, one
            less than the decoded tokens for a layer that decodes.
        why_not: why editing here cannot change an action; empty when it can.
        why_no_heatmap: why where its camera tokens look is not known; empty where it is.
        may_stop_early: `runs_per_inference` is the most; an inference may end with fewer or none.
    """

    name: str
    width: int
    token_groups: tuple[str, ...]
    runs_per_inference: int
    why_not: str = ""
    may_stop_early: bool = False
    why_no_heatmap: str = ""

    @property
    def stack(self) -> str:
        return self.name if self.name.startswith(MODULE) else self.name.split(".")[0]

    def ran_as_often_as_it_should(self, runs: int) -> bool:
        """Return whether an inference with so many runs of this site was a whole one."""
        most = self.runs_per_inference
        return runs <= most if self.may_stop_early else runs == most

    @property
    def can_steer(self) -> bool:
        return not self.why_not
