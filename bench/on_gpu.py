"""What a GPU is needed to measure, in at most eight minutes, as one table in Markdown.

    python bench/on_gpu.py [--out gpu.md] [--minutes 8]
    python bench/on_gpu.py --device cpu --small      # the same on a CPU, at sizes of a test

It needs this package with lerobot's policies, and no network: policies and autoencoders are random.
SAELens, sparsify and ONNX Runtime's CUDA provider are measured where they are installed. A part
that fails, or that there is no time left for, is a line in the table, and the others go on.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sae_training
import torch
from lerobot.policies.factory import get_policy_class
from torch import Tensor

from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.compiled.parts import CompiledParts
from vla_sae_ros.policy.compiled.static_tap import StaticTap
from vla_sae_ros.policy.families.registry import adapter_for
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import TokenMemory, Tokens
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, shrunken, tiny_pi_config
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import TopKSAE

EDITS_PER_SITE = 4
SITES = ("backbone.{middle}", "backbone.{early}", "expert.{middle}", "expert.{early}")
TRAININGS = ((2048, 2048, 100), (2048, 16_384, 100), (720, 16_384, 64))
PUBLISHED = {"max_state_dim": 32, "max_action_dim": 32}
Row = tuple[str, ...]
Table = dict[str, list[Row]]


@dataclass(frozen=True)
class Sizes:
    """How large what is measured is. pi: None = as published."""

    pi: PiSize | None
    features: int
    rounds: int
    trainings: tuple[tuple[int, int, int], ...]
    training_steps: int


FULL = Sizes(None, 16_384, 20, TRAININGS, 10)
SMALL = Sizes(PiSize(layers=3), 64, 2, ((16, 64, 4),), 1)


class Rig:
    """A random pi0.5 on a device with an observation, and four taps of either kind."""

    def __init__(self, sizes: Sizes, device: str, dtype: torch.dtype) -> None:
        self.policy = _pi05(sizes.pi, device, dtype)
        self.adapter = adapter_for("pi05", self.policy)
        self.batch = _batch(self.policy.config, device)
        generator = torch.Generator().manual_seed(0)
        shape = (1, *self.adapter.noise_shape)
        self.noise = torch.randn(shape, generator=generator).to(device)
        layers = sum(name.startswith("expert") for name in self.adapter.sites)
        places = {"early": layers // 3, "middle": layers // 2}
        names = [site.format(**places) for site in SITES]
        saes = [
            _sae(self.adapter.sites[name].width, sizes.features, number).to(device)
            for number, name in enumerate(names)
        ]
        pairs = list(zip(names, saes, strict=True))
        self.eager = [Tap(self.adapter.sites[name], sae, True) for name, sae in pairs]
        self.static = [StaticTap(self.adapter.sites[name], sae, True) for name, sae in pairs]
        edits = [AppliedEdit(n, Mode.CLAMP, 3.0, 1.0) for n in range(EDITS_PER_SITE)]
        self.edits = {name: tuple(edits) for name in names}
        self._memories = {name: TokenMemory() for name in names}

    @contextmanager
    def hooked(self, taps: list[Tap]) -> Iterator[None]:
        """Hang taps on the policy."""
        handles = [self.adapter.attach(tap.site.name, tap) for tap in taps]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def act(self, taps: Sequence[Any] = (), edited: bool = False) -> Tensor:
        """Return a chunk."""
        with torch.inference_mode():
            for tap in taps:
                name = tap.site.name
                masks = partial(self.adapter.token_masks, name, self.batch)
                edits = self.edits[name] if edited else ()
                tap.begin(Tokens(masks, self._memories[name]), edits, 1.5)
            if self.noise.is_cuda:
                torch.compiler.cudagraph_mark_step_begin()
            return self.adapter.predict(dict(self.batch), self.noise).float().clone()


def exactness(sizes: Sizes, device: str) -> list[Row]:
    """Bits of eager and compiled policies, small ones, in both precisions."""
    rows: list[Row] = [("precision", "what", "expected", "got")]
    for dtype in (torch.float32, torch.bfloat16):
        rig = Rig(SMALL, device, dtype)
        name = str(dtype).removeprefix("torch.")
        plain = rig.act()
        with rig.hooked(rig.eager):
            neutral, edited = rig.act(rig.eager), rig.act(rig.eager, True)
        rows.append((name, "eager: taps without edits", "0", _far(neutral, plain)))
        rows.append((name, "eager: what the edits change", "> 0", _far(edited, plain)))
        for captured in (False, True) if device != "cpu" else (False,):
            how = "captured" if captured else "compiled"
            bare = CompiledParts(rig.policy, _silent, captured)
            compiled_plain = rig.act()
            bare.remove()
            with rig.hooked(list(rig.static)):
                parts = CompiledParts(rig.policy, _silent, captured)
                got = rig.act(rig.static)
                rows.append((name, f"{how}: taps without edits", "0", _far(got, compiled_plain)))
                got = rig.act(rig.static, True)
                rows.append((name, f"{how}: edits, against eager", "rounding", _far(got, edited)))
                parts.remove()
    return rows


def speed(sizes: Sizes, device: str) -> list[Row]:
    """Chunks of pi0.5 in bfloat16: eager, compiled, captured; each plain, tapped, edited."""
    rig = Rig(sizes, device, torch.bfloat16)
    rows: list[Row] = [
        ("policy", "taps", "ms a chunk", "over plain", "GiB at the peak", "compiling")
    ]
    arms: list[tuple[str, Callable[..., Any]]] = [("eager", lambda: None)]
    for captured in (False, True) if device != "cpu" else (False,):
        make = partial(CompiledParts, rig.policy, _silent, captured)
        arms.append(("captured" if captured else "compiled", make))
    for name, make in arms:
        taps: list[Any] = rig.eager if name == "eager" else rig.static
        plain, began = 0.0, time.perf_counter()
        parts = make()
        rig.act()
        compiling = time.perf_counter() - began
        plain = _milliseconds(rig.act, sizes.rounds, device)
        rows.append((name, "none", f"{plain:.1f}", "1", _peak(device), f"{compiling:.0f} s"))
        _remove(parts)
        with rig.hooked(taps):
            began = time.perf_counter()
            parts = make()
            rig.act(taps)
            compiling = time.perf_counter() - began
            for edited in (False, True):
                told = f"4, {4 * EDITS_PER_SITE if edited else 'no'} edits"
                ms = _milliseconds(partial(rig.act, taps, edited), sizes.rounds, device)
                took = "the same graph" if edited else f"{compiling:.0f} s"
                rows.append((name, told, f"{ms:.1f}", f"{ms / plain:.3f}", _peak(device), took))
            _remove(parts)
    return rows


def training(sizes: Sizes, device: str) -> list[Row]:
    """Examples per second of training an SAE: ours, a dense step, and other libraries' steps."""
    arms = {"ours": sae_training.ours, "dense torch": sae_training.dense}
    found = {
        "SAELens": ("sae_lens", "saelens_steps.py"),
        "sparsify": ("sparsify", "sparsify_steps.py"),
    }
    missing = [name for name, (module, _script) in found.items() if not _installed(module)]
    for name, (_module, script) in found.items():
        if name not in missing:
            arms[name] = sae_training.elsewhere(sys.executable, script)
    rows: list[Row] = [("d, F, k", "step", "examples/s", "ours over it")]
    for d, size, k in sizes.trainings:
        rates = {name: arm(d, size, k, sizes.training_steps, device) for name, arm in arms.items()}
        for name, rate in rates.items():
            told = (f"{d}, {size}, {k}", name, f"{rate:,.0f}", f"{rates['ours'] / rate:.2f}")
            rows.append(told)
    rows += [("", name, "not installed", "") for name in missing]
    return rows


def onnx(sizes: Sizes, device: str) -> list[Row]:
    """A chunk of the exported demonstration policy with ONNX Runtime, on the CPU and on CUDA."""
    from vla_sae_ros.resources import resource

    rows: list[Row] = [("provider", "ms a chunk", "largest difference to the CPU's actions")]
    folder = resource("models", "demo", "policy") / "onnx"
    if not _installed("onnxruntime") or not folder.is_dir():
        return [*rows, ("not measured: needs onnxruntime and vla-sae export's models/demo", "", "")]
    import onnxruntime

    from vla_sae_ros.policy.onnx.engine import OnnxEngine

    devices = ["cpu"]
    if device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        devices.append(device)
    actions: list[np.ndarray] = []
    for each in devices:
        engine = OnnxEngine(folder, [], each, os.cpu_count() or 1)
        engine.warm_up()
        frame = {
            name: np.full((256, 256, 3), 90, np.uint8)
            if "image" in name
            else np.zeros(8, np.float32)
            for name in engine.input_features
        }
        act = partial(engine.infer, frame, "pick up the butter", (0, 0))
        actions.append(act().actions)
        ms = _milliseconds(act, sizes.rounds, "cpu")
        rows.append((each, f"{ms:.1f}", f"{np.abs(actions[-1] - actions[0]).max():.1e}"))
    if len(devices) == 1:
        rows.append(("CUDA: onnxruntime-gpu is not installed, or there is no GPU", "", ""))
    return rows


PARTS: dict[str, Callable[[Sizes, str], list[Row]]] = {
    "Exactness": exactness,
    "pi0.5, chunks": speed,
    "Training of autoencoders": training,
    "ONNX Runtime": onnx,
}


def measure(sizes: Sizes, device: str, seconds: float, say: Callable[[str], None]) -> Table:
    """Run the parts one after the other while time is left; return each one's rows."""
    began, table = time.monotonic(), Table()
    for name, part in PARTS.items():
        spent = time.monotonic() - began
        if spent > seconds:
            table[name] = [("not measured", f"no time left after {spent:.0f} s")]
            continue
        say(f"{name} ({spent:.0f} s spent)")
        try:
            table[name] = part(sizes, device)
        except Exception as error:
            traceback.print_exc()
            table[name] = [("failed", f"{type(error).__name__}: {error}".splitlines()[0])]
        if device != "cpu":
            torch.cuda.empty_cache()
    return table


def as_markdown(table: Table, device: str) -> str:
    """Return the table with the card's name above it."""
    card = "a CPU" if device == "cpu" else torch.cuda.get_device_name(device)
    parts = [f"Measured on {card}, torch {torch.__version__}."]
    for name, rows in table.items():
        lines = [f"| {' | '.join(row)} |" for row in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]))
        parts.append(f"### {name}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")) / "gpu.md")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    sizes = SMALL if arguments.small else FULL
    # The last part that is begun has to end, too.
    table = measure(sizes, arguments.device, 60.0 * arguments.minutes * 0.8, _say)
    arguments.out.write_text(as_markdown(table, arguments.device), encoding="utf-8")
    print(arguments.out.read_text(encoding="utf-8"))


def _pi05(size: PiSize | None, device: str, dtype: torch.dtype) -> Any:
    """Return a random pi0.5, made on the device itself: a CPU would need minutes."""
    torch.manual_seed(0)
    kind = get_policy_class("pi05")
    with torch.device(device):
        if size is not None:
            with shrunken("pi05", size):
                policy = kind(tiny_pi_config("pi05", size, device=device))
        else:
            policy = kind(tiny_pi_config("pi05", _published(), device=device, **PUBLISHED))
    for parameter in policy.parameters():
        if parameter.ndim > 1:  # lerobot's own start leaves gates and modulations at zero
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    if dtype is torch.bfloat16:
        policy.model.paligemma_with_expert.to_bfloat16_for_selected_params("bfloat16")
    return policy.to(device).eval().requires_grad_(False)


def _published() -> PiSize:
    """Return what of the published pi0.5 is in its configuration; the rest is lerobot's own."""
    return PiSize(image_size=224, chunk=50, denoising_steps=10, language=200)


def _batch(config: Any, device: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    length = config.tokenizer_max_length
    side = config.image_resolution[0]
    batch = {key: torch.rand(1, 3, side, side, generator=generator) for key in CAMERA_KEYS}
    batch["observation.language.tokens"] = torch.randint(3, 250, (1, length), generator=generator)
    batch["observation.language.attention_mask"] = torch.arange(length)[None] < length // 2
    return {key: value.to(device) for key, value in batch.items()}


def _sae(width: int, size: int, seed: int) -> TopKSAE:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(size, width, generator=generator))
    k = min(64, size // 4)
    return TopKSAE(rows.T, torch.zeros(size), rows, torch.zeros(width), k, "layer_norm")


def _milliseconds(act: Callable[[], object], rounds: int, device: str) -> float:
    """Return the median of some calls, each waited for."""
    times = []
    for number in range(rounds + 2):
        started = sae_training.now(device)
        act()
        if number >= 2:
            times.append(sae_training.now(device) - started)
    return 1e3 * float(np.median(times))


def _far(one: Tensor, other: Tensor) -> str:
    return "0" if torch.equal(one, other) else f"{float((one - other).abs().max()):.1e}"


def _peak(device: str) -> str:
    return "" if device == "cpu" else f"{torch.cuda.max_memory_allocated() / 2**30:.1f}"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _remove(parts: CompiledParts | None) -> None:
    if parts is not None:
        parts.remove()


def _silent(_text: str) -> None: ...


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
