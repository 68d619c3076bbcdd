"""Policies that decode their action token by token: what happens to each layer, and when.

A layer runs once over the prompt and then once per token that is decoded and fed back. These are
two sites: "backbone.<layer>" is the run over the prompt, "decode.<layer>" are the runs over single
tokens. Step t of a decode site is the run over decoded token t, counted from 0; the first token
comes from the prompt's run, and the last one is fed back to nobody. So n tokens make n - 1 steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction, TokenMasks, full_mask
from vla_sae_ros.policy.families.layer_hook import hook_layer
from vla_sae_ros.policy.families.site import Site

PROMPT, DECODE = "backbone", "decode"


def is_decode(site: str) -> bool:
    """Return whether a site's name is that of a run over decoded tokens."""
    return site.startswith(DECODE)


class DecodingStack:
    """The layers of a decoder that reads a prompt and then decodes.

    Args:
        layers: called as modules.
        width: of the residual stream.
        prompt_groups: of the prompt's tokens.
        tokens: most tokens that are decoded in one inference.
        may_stop_early: fewer may be, down to one.
    """

    def __init__(
        self,
        layers: nn.ModuleList,
        width: int,
        prompt_groups: tuple[str, ...],
        tokens: int,
        may_stop_early: bool,
    ) -> None:
        self._layers = layers
        numbers = range(len(layers))
        prompt = [Site(f"{PROMPT}.{n}", width, prompt_groups, 1) for n in numbers]
        decode = [
            Site(f"{DECODE}.{n}", width, ("action",), tokens - 1, may_stop_early=may_stop_early)
            for n in numbers
        ]
        self.sites: Mapping[str, Site] = {site.name: site for site in (*prompt, *decode)}

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        """Call `function` with the stream after the site's layer, in the site's runs only."""
        decodes = is_decode(site)
        layer = self._layers[int(site.split(".")[1])]
        return hook_layer(layer, function, lambda stream: (stream.shape[1] == 1) == decodes)


def decoded_token_mask(batch_size: int, device: torch.device) -> TokenMasks:
    """Return the masks of a decode site: one action token."""
    return {"action": full_mask(batch_size, 1, 0, 1, device)}
