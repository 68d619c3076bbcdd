"""Makes the folders in test/sae/formats/saelens: autoencoders and their codes by SAELens itself.

Run by hand in an environment of its own, `pip install sae-lens`, never beside this package (it
moves transformers out of lerobot's range): `python test/sae/formats/make_saelens_fixture.py`.
The stored ones were made with sae-lens 6.54.12 and torch 2.11.0. With folders as arguments it
instead prints how far SAELens' codes are from the `expected.safetensors` of the autoencoders there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FACTOR = 0.4
CASES = {
    "plain": ("topk", {"normalize_activations": "none"}),
    "layer_norm": ("topk", {"normalize_activations": "layer_norm"}),
    "no_input_bias": (
        "topk",
        {"normalize_activations": "layer_norm", "apply_b_dec_to_input": False},
    ),
    "decoder_norm": (
        "topk",
        {"normalize_activations": "none", "rescale_acts_by_decoder_norm": True},
    ),
    "constant_norm": ("topk", {"normalize_activations": "constant_norm_rescale"}),
    "average_norm": ("topk", {"normalize_activations": "expected_average_only_in"}),
    "standard": ("standard", {"normalize_activations": "layer_norm"}),
    "standard_average_norm": (
        "standard",
        {"normalize_activations": "expected_average_only_in", "apply_b_dec_to_input": False},
    ),
    "jumprelu": ("jumprelu", {"normalize_activations": "none"}),
    "jumprelu_constant_norm": (
        "jumprelu",
        {"normalize_activations": "constant_norm_rescale", "apply_b_dec_to_input": False},
    ),
    "batchtopk": ("batchtopk", {"rescale_acts_by_decoder_norm": False}),
    "batchtopk_decoder_norm": ("batchtopk", {"rescale_acts_by_decoder_norm": True}),
}


def make(folder: Path) -> None:
    from sae_lens.registry import get_sae_class, get_sae_training_class

    torch.manual_seed(0)
    for name, (architecture, options) in CASES.items():
        find = get_sae_training_class if architecture == "batchtopk" else get_sae_class
        sae_class, config_class = find(architecture)
        k = {"k": 4} if "topk" in architecture else {}
        sae = sae_class(config_class(d_in=8, d_sae=16, **k, **options))
        for weight in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec):
            weight.data = torch.randn_like(weight)
        if architecture == "jumprelu":
            sae.threshold.data = torch.rand(16)
        if architecture == "batchtopk":
            sae.topk_threshold = torch.tensor(0.7, dtype=sae.topk_threshold.dtype)
        sae.save_model(folder / name)
        x = torch.randn(6, 8) * 3 + 1
        code, reconstruction = as_it_serves(sae, architecture, options, x, folder / name)
        expected = {"x": x, "code": code, "reconstruction": reconstruction}
        save_file(
            {k: v.detach().clone() for k, v in expected.items()},
            folder / name / "expected.safetensors",
        )


def as_it_serves(
    sae: object, architecture: str, options: dict, x: torch.Tensor, folder: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    """Code and reconstruction by the inference model that SAELens makes of a checkpoint."""
    from sae_lens import SAE

    if options.get("normalize_activations") == "expected_average_only_in":
        (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": FACTOR}))
        sae.fold_activation_norm_scaling_factor(FACTOR)
    if architecture == "batchtopk":
        sae.save_inference_model(folder / "inference")
        sae = SAE.load_from_disk(folder / "inference")
        for path in (folder / "inference").iterdir():
            path.unlink()
        (folder / "inference").rmdir()
    code = sae.encode(x)
    return code, sae.decode(code)


def compare(folder: Path) -> None:
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder)
    expected = load_file(folder / "expected.safetensors")
    code = sae.encode(expected["x"])
    reconstruction = sae.decode(code)
    print(
        folder.name,
        sae.cfg.architecture(),
        sae.cfg.normalize_activations,
        "code",
        float((code - expected["code"]).abs().max()),
        "reconstruction",
        float((reconstruction - expected["reconstruction"]).abs().max()),
    )


if __name__ == "__main__":
    with torch.no_grad():
        if len(sys.argv) > 1:
            for argument in sys.argv[1:]:
                compare(Path(argument))
        else:
            make(Path(__file__).parent / "saelens")
