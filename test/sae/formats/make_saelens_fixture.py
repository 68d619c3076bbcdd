"""Makes the folders in test/sae/saelens: TopK autoencoders and their codes by SAELens itself.

Run by hand in an environment of its own, `pip install sae-lens`, never beside this package (it
moves transformers out of lerobot's range): `python test/sae/make_saelens_fixture.py`.
The stored ones were made with sae-lens 6.54.12 and torch 2.11.0. With a folder as argument it
instead prints how far SAELens' codes are from the `expected.safetensors` of the autoencoder there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

CASES = {
    "plain": {"normalize_activations": "none"},
    "layer_norm": {"normalize_activations": "layer_norm"},
    "no_input_bias": {"normalize_activations": "layer_norm", "apply_b_dec_to_input": False},
    "decoder_norm": {"normalize_activations": "none", "rescale_acts_by_decoder_norm": True},
}


def make(folder: Path) -> None:
    from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig

    torch.manual_seed(0)
    for name, options in CASES.items():
        sae = TopKSAE(TopKSAEConfig(d_in=8, d_sae=16, k=4, **options))
        for weight in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec):
            weight.data = torch.randn_like(weight)
        sae.save_model(folder / name)
        x = torch.randn(6, 8) * 3 + 1
        code = sae.encode(x)
        expected = {"x": x, "code": code, "reconstruction": sae.decode(code)}
        save_file(
            {k: v.detach() for k, v in expected.items()}, folder / name / "expected.safetensors"
        )


def compare(folder: Path) -> None:
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder)
    expected = load_file(folder / "expected.safetensors")
    code = sae.encode(expected["x"])
    print("code", float((code - expected["code"]).abs().max()))
    print("reconstruction", float((sae.decode(code) - expected["reconstruction"]).abs().max()))


if __name__ == "__main__":
    with torch.no_grad():
        if len(sys.argv) > 1:
            compare(Path(sys.argv[1]))
        else:
            make(Path(__file__).parent / "saelens")
