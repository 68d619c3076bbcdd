"""Read and steer a policy of your own: an adapter says where its residual stream is.

    python examples/own_policy_family.py

You see one action of a small policy written here, plain and while a feature of an SAE is clamped.
Without an edit the tapped policy answers as the bare one does, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.steering import Edit, Mode, Steering, Unit
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.adapter import full_mask
from vla_sae_ros.policy.families.layer_hook import hook_layer
from vla_sae_ros.policy.families.registry import FAMILIES, Family
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard

WIDTH, CHUNK, ACTION = 32, 8, 7
STATE = "observation.state"


class ReachPolicy(nn.Module):
    """Reads an (8,) state; its tokens are the CHUNK actions; three residual layers."""

    name = "reach"
    config = SimpleNamespace(
        input_features={STATE: SimpleNamespace(type=SimpleNamespace(name="STATE"), shape=(8,))}
    )

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8 + ACTION, WIDTH), nn.Linear(WIDTH, ACTION)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 4, 64, 0.0, batch_first=True) for _ in range(3)
        )

    def forward(self, state: Tensor, noise: Tensor) -> Tensor:
        stream = self.embed(torch.cat([state[:, None].expand(-1, CHUNK, -1), noise], dim=-1))
        for layer in self.layers:
            stream = layer(stream)  # (B, T, d): what a site reads and an edit adds to
        return self.head(stream)


@dataclass
class ReachAdapter:
    """What the engine needs to know; see policy/families/adapter.py."""

    policy: ReachPolicy
    noise_shape = (CHUNK, ACTION)
    sites: dict[str, Site] = field(init=False)

    def __post_init__(self) -> None:
        names = [f"trunk.{layer}" for layer in range(len(self.policy.layers))]
        self.sites = {name: Site(name, WIDTH, ("action",), 1) for name in names}

    def attach(self, site, function):
        return hook_layer(self.policy.layers[int(site.split(".")[1])], function)

    def token_masks(self, site, batch):
        return {"action": full_mask(1, CHUNK, 0, CHUNK, batch[STATE].device)}

    def camera_patches(self, site, batch):
        return ()  # no token looks at a camera

    def predict(self, batch, noise, previous=None):
        return self.policy(batch[STATE], noise)


FAMILIES["reach"] = Family(__name__, "ReachAdapter")


def batched(batch: dict) -> dict:
    return batch | {STATE: batch[STATE][None]}


def random_bundle(policy_id: str, site: str) -> SaeBundle:
    """Yours comes from `vla-sae train-sae`, or `vla-sae convert-sae` makes it of another format."""
    rows = nn.functional.normalize(torch.randn(64, WIDTH), dim=-1)
    sae = TopKSAE(rows.T.clone(), torch.zeros(64), rows, torch.zeros(WIDTH), 8, "layer_norm")
    card = BundleCard(
        policy_id, "reach", site, WIDTH, 64, 8, "token", ("action",), "layer_norm", 5.0, 1.0
    )
    return SaeBundle(sae, card, Catalogue(site, [FeatureEntry(3, observed_max=2.0)]))


def main() -> None:
    torch.manual_seed(0)
    policy = ReachPolicy().eval()
    loaded = LoadedPolicy(
        policy, batched, lambda chunk: chunk, "reach", "0123456789abcdef", policy.config
    )
    frame = {STATE: np.linspace(-1, 1, 8, dtype=np.float32)}
    bare = PolicyEngine(loaded)
    print("sites:", ", ".join(bare.adapter.sites))
    untouched = bare.infer(frame, "reach", (7, 0)).actions

    engine = PolicyEngine(loaded, [random_bundle(loaded.policy_id, "trunk.1")])
    plain = engine.infer(frame, "reach", (7, 0))
    print("bit-identical without an edit:", bool((plain.actions == untouched).all()))
    steering = Steering(engine.steering_sites())
    steering.set([Edit(3, Mode.CLAMP, 2.0, "trunk.1", Unit.OBSERVED_MAX)], owner="example")
    steering.begin_inference(0.0)  # an edit ramps in observation time: a second later it is whole
    steered = engine.infer(frame, "reach", (7, 0), steering.begin_inference(1.0))
    print("plain  ", np.array2string(plain.actions[0], precision=3))
    print("steered", np.array2string(steered.actions[0], precision=3))
    engine.close()


if __name__ == "__main__":
    main()
