"""Makes the folders in test/sae/formats/sparsify: autoencoders and their codes by sparsify itself.

Run by hand in an environment of its own, `pip install eai-sparsify`:
`SPARSIFY_DISABLE_TRITON=1 python test/sae/formats/make_sparsify_fixture.py`, which needs no GPU.
The stored ones were made with eai-sparsify 1.3.3 and torch 2.15.0. With folders as arguments it
instead prints how far sparsify's codes are from the `expected.safetensors` of the autoencoders
there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sparsify import SparseCoder, SparseCoderConfig

CASES = {
    "topk": {"num_latents": 16},
    "expansion": {"expansion_factor": 3, "normalize_decoder": False, "multi_topk": True},
    "groupmax": {"num_latents": 16, "activation": "groupmax"},
    "transcoder": {"num_latents": 16, "transcode": True},
    "skip": {"num_latents": 16, "skip_connection": True},
}


def make(folder: Path) -> None:
    torch.manual_seed(0)
    for name, options in CASES.items():
        coder = SparseCoder(8, SparseCoderConfig(k=4, **options))
        for weight in coder.parameters():
            weight.data = torch.randn_like(weight)
        coder.save_to_disk(folder / name)
        x = torch.randn(6, 8) * 3 + 1
        code, reconstruction = as_it_serves(coder, x)
        expected = {"x": x, "code": code, "reconstruction": reconstruction}
        save_file(expected, folder / name / "expected.safetensors")


def as_it_serves(coder: SparseCoder, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Code, dense, and reconstruction."""
    encoded = coder.encode(x)
    code = torch.zeros(len(x), coder.num_latents)
    code.scatter_(1, encoded.top_indices, encoded.top_acts)
    return code, coder.decode(encoded.top_acts, encoded.top_indices)


def compare(folder: Path) -> None:
    expected = load_file(folder / "expected.safetensors")
    code, reconstruction = as_it_serves(SparseCoder.load_from_disk(folder), expected["x"])
    print(
        folder.name,
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
            make(Path(__file__).parent / "sparsify")
