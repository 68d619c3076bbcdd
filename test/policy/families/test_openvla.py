"""OpenVLA's adapter on a shrunken, random model, where OpenVLA's environment is.

OpenVLA's modelling code is in no package. With OPENVLA_CODE naming a folder that holds its
configuration_prismatic.py and modeling_prismatic.py, the model is of its own classes; without, the
nearest real class is run: transformers' LlamaForCausalLM, in a stand-in for what surrounds it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers
from nearest_openvla import ACTIONS, LAYERS, TEXT, WIDTH, NearestOpenVLA
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.families.chunk import PreviousChunk
from vla_sae_ros.policy.families.openvla import OpenVLAAdapter

PINNED = "4.40.1"
pytestmark = pytest.mark.skipif(
    transformers.__version__ != PINNED,
    reason=f"OpenVLA needs transformers {PINNED}, here is {transformers.__version__}: run this "
    "test in environments/openvla",
)

SITES = [f"{kind}.{layer}" for kind in ("backbone", "decode") for layer in range(LAYERS)]
STATISTICS = {"made_up": {"action": {"q01": [-1.0] * ACTIONS, "q99": [1.0] * ACTIONS}}}


def real_model() -> Any:
    """A model of OpenVLA's own classes with a small vision tower."""
    package = "openvla_code"
    folder = os.environ["OPENVLA_CODE"]
    made = ModuleType(package)
    made.__path__ = [folder]
    sys.modules[package] = made
    configuration = importlib.import_module(f"{package}.configuration_prismatic")
    modeling = importlib.import_module(f"{package}.modeling_prismatic")
    config = configuration.OpenVLAConfig(
        norm_stats=STATISTICS,
        vision_backbone_id="dinosiglip-vit-so-224px",
        llm_backbone_id="llama2-7b-pure",
        text_config=TEXT,
        pad_token_id=0,
    )
    config.timm_model_ids = ["vit_tiny_patch16_224"] * 2
    config.image_sizes = [32, 32]
    return modeling.OpenVLAForActionPrediction(config)


@pytest.fixture(scope="module", params=["nearest", "real"])
def model(request: pytest.FixtureRequest) -> Any:
    if request.param == "real" and "OPENVLA_CODE" not in os.environ:
        pytest.skip("OPENVLA_CODE names no folder with OpenVLA's modelling code")
    torch.manual_seed(0)
    made = NearestOpenVLA() if request.param == "nearest" else real_model()
    for parameter in made.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return made.eval()


@pytest.fixture
def adapter(model: Any) -> OpenVLAAdapter:
    return OpenVLAAdapter(model)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "input_ids": torch.randint(1, 900, (1, 9), generator=generator),
        "pixel_values": torch.rand(1, 6, 32, 32, generator=generator),
    }


@pytest.fixture
def decided(model: Any) -> Iterator[list[Tensor]]:
    """The logits' rows that were decided on: they tell two models apart where actions agree."""
    rows: list[Tensor] = []
    handle = model.language_model.lm_head.register_forward_hook(
        lambda _module, _args, logits: rows.append(logits[:, -1].clone())
    )
    yield rows
    handle.remove()


def predict(adapter: OpenVLAAdapter, batch: dict[str, Tensor]) -> Tensor:
    with torch.inference_mode():
        return adapter.predict(dict(batch), torch.zeros(1, 1))


def logits_with(
    adapter: OpenVLAAdapter,
    batch: dict[str, Tensor],
    decided: list[Tensor],
    site: str,
    function: Callable[[Tensor], Tensor | None],
) -> list[Tensor]:
    decided.clear()
    handle = adapter.attach(site, function)
    predict(adapter, batch)
    handle.remove()
    return list(decided)


@pytest.mark.parametrize("site", SITES)
def test_reading_changes_nothing_and_reads_what_the_next_layer_receives(
    model: Any, adapter: OpenVLAAdapter, batch: dict[str, Tensor], decided: list[Tensor], site: str
) -> None:
    plain = predict(adapter, batch)
    kept = list(decided)
    read: list[Tensor] = []
    received: list[Tensor] = []
    stack, following = model.language_model.model, int(site[-1]) + 1
    last = following == LAYERS
    receiver = stack.norm if last else stack.layers[following].input_layernorm
    watch = receiver.register_forward_pre_hook(
        lambda _module, args: received.append(args[0].clone())
    )
    logits = logits_with(adapter, batch, decided, site, lambda x: read.append(x.clone()))
    watch.remove()
    assert all(torch.equal(a, b) for a, b in zip(logits, kept, strict=True))
    wanted = received[:1] if site.startswith("backbone") else received[1:]
    assert len(read) == adapter.sites[site].runs_per_inference
    assert all(torch.equal(a, b) for a, b in zip(read, wanted, strict=True))
    assert plain.shape == (1, 1, ACTIONS)
    mask = adapter.token_masks(site, batch)
    assert torch.stack(list(mask.values())).sum(0).eq(1).all()
    assert next(iter(mask.values())).shape == read[0].shape[:2]


@pytest.mark.parametrize("site", SITES)
def test_every_layer_steers_the_last_one_too(
    adapter: OpenVLAAdapter, batch: dict[str, Tensor], decided: list[Tensor], site: str
) -> None:
    predict(adapter, batch)
    plain = list(decided)
    pushed = logits_with(adapter, batch, decided, site, lambda x: 3.0 * torch.ones_like(x))
    first = 0 if site.startswith("backbone") else 1
    assert adapter.sites[site].can_steer
    assert torch.equal(pushed[0], plain[0]) == (first == 1)
    assert not torch.equal(pushed[first], plain[first])


@pytest.mark.parametrize("layer", range(LAYERS))
def test_adding_a_vector_at_both_sites_of_a_layer_equals_a_bias_on_its_mlp(
    model: Any, adapter: OpenVLAAdapter, batch: dict[str, Tensor], decided: list[Tensor], layer: int
) -> None:
    vector = torch.randn(WIDTH, generator=torch.Generator().manual_seed(1))
    handles = [
        adapter.attach(f"{kind}.{layer}", lambda x: vector.expand_as(x))
        for kind in ("backbone", "decode")
    ]
    tapped = predict(adapter, batch)
    logits = list(decided)
    for handle in handles:
        handle.remove()
    decided.clear()
    down = model.language_model.model.layers[layer].mlp.down_proj
    down.bias = nn.Parameter(vector, requires_grad=False)
    try:
        rewritten = predict(adapter, batch)
    finally:
        down.bias = None
    assert torch.equal(tapped, rewritten)
    torch.testing.assert_close(torch.cat(logits), torch.cat(decided), atol=1e-4, rtol=1e-4)


def test_hooks_are_gone_after_detaching(
    model: Any, adapter: OpenVLAAdapter, batch: dict[str, Tensor]
) -> None:
    plain = predict(adapter, batch)
    handles = [adapter.attach(site, lambda x: torch.ones_like(x)) for site in SITES]
    predict(adapter, batch)
    for handle in handles:
        handle.remove()
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(predict(adapter, batch), plain)


def test_the_patches_stand_where_the_camera_s_tokens_are_said_to_be(
    model: Any, adapter: OpenVLAAdapter, batch: dict[str, Tensor]
) -> None:
    (place,) = adapter.camera_patches("backbone.0", batch)
    assert (place.start, place.rows, place.columns) == (1, 2, 2)
    projected: list[Tensor] = []
    entered: list[Tensor] = []
    watches = (
        model.projector.register_forward_hook(lambda _module, _args, out: projected.append(out)),
        model.language_model.model.layers[0].input_layernorm.register_forward_pre_hook(
            lambda _module, args: entered.append(args[0])
        ),
    )
    predict(adapter, batch)
    for watch in watches:
        watch.remove()
    assert torch.equal(entered[0][:, place.start : place.stop], projected[0])


def test_a_previous_chunk_is_refused(adapter: OpenVLAAdapter, batch: dict[str, Tensor]) -> None:
    with pytest.raises(ConfigurationError, match="no real-time chunking"):
        adapter.predict(batch, torch.zeros(1, 1), PreviousChunk(torch.zeros(1, 1, 7), 0))
