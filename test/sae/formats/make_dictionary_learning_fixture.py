"""Makes test/sae/formats/dictionary_learning: autoencoders and their codes by that library itself.

Run by hand in an environment of its own, `pip install dictionary-learning`:
`python test/sae/formats/make_dictionary_learning_fixture.py`. The stored ones were made with
dictionary_learning 0.1.0 and torch 2.15.0.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from dictionary_learning.dictionary import (
    AutoEncoder,
    AutoEncoderNew,
    GatedAutoEncoder,
    JumpReluAutoEncoder,
)
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from dictionary_learning.utils import load_dictionary
from safetensors.torch import save_file

CASES = {
    "AutoEncoder": lambda: AutoEncoder(8, 16),
    "AutoEncoderNew": lambda: AutoEncoderNew(8, 16),
    "AutoEncoderTopK": lambda: AutoEncoderTopK(8, 16, k=4),
    "BatchTopKSAE": lambda: BatchTopKSAE(8, 16, k=4),
    "MatryoshkaBatchTopKSAE": lambda: MatryoshkaBatchTopKSAE(8, 16, k=4, group_sizes=[6, 10]),
    "JumpReluAutoEncoder": lambda: JumpReluAutoEncoder(8, 16),
    "GatedAutoEncoder": lambda: GatedAutoEncoder(8, 16),
}


def make(folder: Path) -> None:
    torch.manual_seed(0)
    for name, build in CASES.items():
        made = build()
        for weight in made.parameters():
            weight.data = torch.randn_like(weight)
        if hasattr(made, "threshold"):
            made.threshold.data = torch.rand(made.threshold.shape)
        (folder / name).mkdir(parents=True, exist_ok=True)
        torch.save(made.state_dict(), folder / name / "ae.pt")
        trainer = {"dict_class": name, "activation_dim": 8, "dict_size": 16}
        if "TopK" in name:
            trainer["k"] = 4
        (folder / name / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
        loaded, _ = load_dictionary(str(folder / name), "cpu")
        x = torch.randn(6, 8) * 3 + 1
        code = loaded.encode(x)
        expected = {"x": x, "code": code, "reconstruction": loaded.decode(code)}
        save_file(expected, folder / name / "expected.safetensors")


if __name__ == "__main__":
    with torch.no_grad():
        make(Path(__file__).parent / "dictionary_learning")
