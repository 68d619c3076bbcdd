"""The noise that PyTorch draws on a CPU, drawn without it.

So that the same seed starts both backends from the same noise, up to the last bits of float32.
The algorithm is PyTorch's for 16 and more float32 numbers (aten/src/ATen/native/cpu/
DistributionTemplates.h, `normal_fill`): 24 bits of each word of a Mersenne Twister (MT19937),
turned into normal numbers by Box and Muller's method in blocks of 16.
"""

from __future__ import annotations

import math

import numpy as np

_BLOCK = 16


def standard_normal(state: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return `torch.randn(shape, generator=torch.Generator().manual_seed(state))`, float32.

    Raises:
        ValueError: fewer than 16 numbers, for which PyTorch uses another algorithm.
    """
    size = math.prod(shape)
    if size < _BLOCK:
        raise ValueError(f"noise of {size} numbers; at least {_BLOCK} are needed")
    # The seeding of Matsumoto and Nishimura (2002), of which PyTorch too keeps the low 32 bits.
    words = np.random.RandomState(state & 0xFFFFFFFF)
    numbers = np.empty(size, np.float32)
    uniform = _uniform(words, size)
    whole = size - size % _BLOCK
    numbers[:whole] = _box_muller(uniform[:whole])
    if size != whole:
        numbers[-_BLOCK:] = _box_muller(_uniform(words, _BLOCK))
    return numbers.reshape(shape)


def _uniform(words: np.random.RandomState, size: int) -> np.ndarray:
    drawn = words.randint(0, 1 << 32, size, dtype=np.uint32) & 0xFFFFFF
    return drawn.astype(np.float32) / np.float32(1 << 24)


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    first, second = np.split(uniform.reshape(-1, _BLOCK), 2, axis=1)
    radius = np.sqrt(-2.0 * np.log(1.0 - first.astype(np.float64)))
    angle = 2.0 * np.pi * second.astype(np.float64)
    return np.hstack([radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32).ravel()
