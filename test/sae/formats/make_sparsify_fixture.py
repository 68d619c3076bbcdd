"""Makes the folders in test/sae/formats/sparsify: autoencoders and their codes by sparsify itself.

Run by hand in an environment of its own, `pip install eai-sparsify`:
`SPARSIFY_DISABLE_TRITON=1 python test/sae/formats/make_sparsify_fixture.py`, which needs no GPU.
The stored ones were made with eai-sparsify 1.3.3 and torch 2.15.0.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
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
        encoded = coder.encode(x)
        code = torch.zeros(6, coder.num_latents)
        code.scatter_(1, encoded.top_indices, encoded.top_acts)
        reconstruction = coder.decode(encoded.top_acts, encoded.top_indices)
        expected = {"x": x, "code": code, "reconstruction": reconstruction}
        save_file(expected, folder / name / "expected.safetensors")


if __name__ == "__main__":
    with torch.no_grad():
        make(Path(__file__).parent / "sparsify")
