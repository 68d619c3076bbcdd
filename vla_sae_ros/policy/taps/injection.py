"""Playing in the residual stream that one inference had at a site in the place of another's.

A diagnostic, never on a robot: if the policy then acts as in the episode that the stream is from,
what it does is decided at that site (activation injection).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.tokens import Groups, Tokens


class OtherStream(ConfigurationError):
    """The donor's inference had other tokens or runs than this one."""


@dataclass(frozen=True)
class Taken:
    """What passed a site in one inference: by run, the stream (n, d) of each group of tokens."""

    runs: tuple[dict[str, Tensor], ...]


class Injection:
    """Keeps what passes a site, and puts something else in its place where it is told to.

    One inference is `begin`, the site's runs, then `taken`.

    Args:
        site: where it sits.
        groups: tokens that are replaced; a batch of one.
    """

    def __init__(self, site: Site, groups: Groups) -> None:
        self.site, self.groups = site, groups
        self._tokens: Tokens | None = None
        self._donor: Taken | None = None
        self._runs: list[dict[str, Tensor]] = []
        self._ratios: list[float] = []

    def give(self, donor: Taken | None) -> None:
        """Let the next inference have this stream; None: its own."""
        self._donor = donor

    def begin(self, tokens: Tokens) -> None:
        """Prepare for one inference."""
        self._tokens, self._runs, self._ratios = tokens, [], []

    def taken(self) -> Taken:
        """Return what passed in the last inference, before anything was replaced."""
        return Taken(tuple(self._runs))

    @property
    def ratio(self) -> float:
        """Mean ||dx|| / ||x|| over the replaced tokens, the largest of the last inference's runs;
        0 where it had its own stream."""
        return max(self._ratios, default=0.0)

    def __call__(self, x: Tensor) -> Tensor | None:
        """See the stream x (1, T, d); return what turns it into the donor's, or None.

        Raises:
            OtherStream: the donor's inference had other tokens or runs.
        """
        assert self._tokens is not None
        masks = {group: self._tokens.mask((group,))[0] for group in self.groups}
        run = len(self._runs)
        self._runs.append({group: x[0][mask].clone() for group, mask in masks.items()})
        if self._donor is None:
            return None
        if run >= len(self._donor.runs):
            raise _unlike(self.site.name, f"run {run + 1}", f"{len(self._donor.runs)} runs")
        delta, replaced = torch.zeros_like(x), torch.zeros(x.shape[1], dtype=torch.bool)
        for group, mask in masks.items():
            given, own = self._donor.runs[run][group], self._runs[-1][group]
            if given.shape != own.shape:
                raise _unlike(
                    f"{group} tokens of {self.site.name}", len(own), f"{len(given)}, as the donor"
                )
            delta[0, mask] = given.to(x) - own
            replaced |= mask.cpu()
        norms = [torch.linalg.vector_norm(one[0, replaced].float(), dim=-1) for one in (delta, x)]
        self._ratios.append(float((norms[0] / norms[1]).mean()))
        return delta


def check_groups(site: Site, groups: Sequence[str]) -> Groups:
    """Return the groups to replace, all of the site's for none.

    Raises:
        ConfigurationError: a group that does not pass the site.
    """
    unknown = sorted(set(groups) - set(site.token_groups))
    if unknown:
        allowed = ", ".join(site.token_groups)
        raise ConfigurationError(complaint(f"token groups of {site.name}", unknown, allowed))
    return tuple(groups) or site.token_groups


def _unlike(what: str, got: object, allowed: str) -> OtherStream:
    return OtherStream(
        complaint(what, got, allowed, "Replace fewer groups of tokens, e.g. --tokens camera.")
    )
