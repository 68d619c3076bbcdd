"""What `apply` can do to a value on its way from a channel to the policy, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.contract.pictures import resized_with_pad
from vla_sae_ros.core.errors import ContractError, ObservationError, complaint

Array = npt.NDArray[Any]
LARGEST_SIDE = 8192
SMALLEST_SINE = 1e-9
UNIT_TOLERANCE = 0.01
"""Of a quaternion's length: what rounding in messages leaves, and no more."""


class Operator(Protocol):
    """One step of an `apply` pipeline."""

    name: ClassVar[str]
    for_images: ClassVar[bool]
    invertible: ClassVar[bool]
    """Only invertible operators may stand on an action, which is read back to front."""

    def width(self, width: int) -> int:
        """Return the number of values after the operator; raises ContractError if it cannot."""
        ...

    def forward(self, value: Array) -> Array:
        """Go from the channel's units to the policy's."""
        ...

    def inverse(self, value: Array) -> Array:
        """Go from the policy's units to the channel's."""
        ...


class _Elementwise:
    for_images: ClassVar[bool] = False
    invertible: ClassVar[bool] = True

    def width(self, width: int) -> int:
        return width


@dataclass(frozen=True)
class RadiansToDegrees(_Elementwise):
    """rad2deg: radians on the channel, degrees for the policy."""

    name: ClassVar[str] = "rad2deg"

    def forward(self, value: Array) -> Array:
        return np.rad2deg(value)

    def inverse(self, value: Array) -> Array:
        return np.deg2rad(value)


@dataclass(frozen=True)
class DegreesToRadians(_Elementwise):
    """deg2rad: degrees on the channel, radians for the policy; an addition to the format."""

    name: ClassVar[str] = "deg2rad"

    def forward(self, value: Array) -> Array:
        return np.deg2rad(value)

    def inverse(self, value: Array) -> Array:
        return np.rad2deg(value)


@dataclass(frozen=True)
class Scale(_Elementwise):
    """scale: {factor, offset}; x * factor + offset, e.g. a gripper's width [m] to 0 open, 1 closed.

    An addition to the format.
    """

    name: ClassVar[str] = "scale"
    factor: float
    offset: float

    def forward(self, value: Array) -> Array:
        return value * self.factor + self.offset

    def inverse(self, value: Array) -> Array:
        return (value - self.offset) / self.factor


@dataclass(frozen=True)
class Clamp(_Elementwise):
    """clamp: {min, max}; bounds every value, in both directions."""

    name: ClassVar[str] = "clamp"
    low: float
    high: float

    def forward(self, value: Array) -> Array:
        return np.clip(value, self.low, self.high)

    def inverse(self, value: Array) -> Array:
        return np.clip(value, self.low, self.high)


class _ForwardOnly:
    name: ClassVar[str]
    invertible: ClassVar[bool] = False

    def inverse(self, value: Array) -> Array:
        raise ContractError(f"'{self.name}' has no inverse, so it cannot be used for an action.")


@dataclass(frozen=True)
class Resize(_ForwardOnly):
    """resize: [height, width]; nearest neighbour by pixel centres, for pictures."""

    name: ClassVar[str] = "resize"
    for_images: ClassVar[bool] = True
    height: int
    columns: int

    def width(self, width: int) -> int:
        return width

    def forward(self, value: Array) -> Array:
        rows = _nearest(value.shape[0], self.height)
        columns = _nearest(value.shape[1], self.columns)
        return value[rows[:, None], columns]


@dataclass(frozen=True)
class ResizeWithPad(Resize):
    """resize_with_pad: [height, width]; without distortion, bilinear, padded black, as openpi does;
    an addition to the format."""

    name: ClassVar[str] = "resize_with_pad"

    def forward(self, value: Array) -> Array:
        return resized_with_pad(value, self.height, self.columns)


@dataclass(frozen=True)
class QuaternionToAxisAngle(_ForwardOnly):
    """quat2axisangle: (x, y, z, w) to axis times angle (3,) rad; an addition to the format.

    The angle is 2 acos(w), in [0, 2 pi], and no sign is normalised: LIBERO's policies are
    trained on exactly this. Raises ObservationError for what is no rotation, such as zeros.
    """

    name: ClassVar[str] = "quat2axisangle"
    for_images: ClassVar[bool] = False

    def width(self, width: int) -> int:
        if width != 4:
            raise ContractError(
                complaint(
                    "input of 'quat2axisangle'",
                    f"{width} values",
                    "4 selected values: x, y, z, w",
                )
            )
        return 3

    def forward(self, value: Array) -> Array:
        length = float(np.linalg.norm(value))
        if abs(length - 1.0) > UNIT_TOLERANCE:
            raise ObservationError(
                complaint(
                    f"rotation (x, y, z, w) for {self.name}",
                    value.tolist(),
                    "a unit quaternion",
                    f"Its length is {length:.3g}: a publisher has not set it yet, or scales it.",
                )
            )
        w = float(np.clip(value[3], -1.0, 1.0))
        sine = math.sqrt(1.0 - w * w)
        if sine < SMALLEST_SINE:
            return np.zeros(3, dtype=value.dtype)
        return value[:3] * (2.0 * math.acos(w) / sine)


def parse_operator(item: object, where: str) -> Operator:
    """Return the operator that one item of an `apply` list describes; raises ContractError."""
    name, argument = _name_and_argument(item, where)
    if name in _PLAIN and argument is None:
        return _PLAIN[name]()
    if name in _WITH_ARGUMENT:
        return _WITH_ARGUMENT[name](argument, where)
    raise ContractError(
        complaint(
            f"{where}: operator",
            item,
            "rad2deg, deg2rad, quat2axisangle, clamp: {min: .., max: ..}, scale: {factor: .., "
            "offset: ..}, resize: [height, width], resize_with_pad: [height, width]",
        )
    )


def _name_and_argument(item: object, where: str) -> tuple[str, object]:
    if isinstance(item, str):
        return item, None
    if isinstance(item, dict) and len(item) == 1:
        ((name, argument),) = item.items()
        return str(name), argument
    raise ContractError(complaint(f"{where}: operator", item, "a name or {name: argument}"))


def _clamp(argument: object, where: str) -> Clamp:
    if isinstance(argument, dict) and set(argument) == {"min", "max"}:
        low, high = argument["min"], argument["max"]
        if _is_number(low) and _is_number(high) and low <= high:
            return Clamp(float(low), float(high))
    raise ContractError(
        complaint(f"{where}: clamp", argument, "{min: low, max: high}, both finite, low <= high")
    )


def _scale(argument: object, where: str) -> Scale:
    if isinstance(argument, dict) and set(argument) == {"factor", "offset"}:
        factor, offset = argument["factor"], argument["offset"]
        if _is_number(factor) and _is_number(offset) and factor != 0:
            return Scale(float(factor), float(offset))
    raise ContractError(
        complaint(
            f"{where}: scale", argument, "{factor: .., offset: ..}, both finite, factor not 0"
        )
    )


def _resize(argument: object, where: str) -> Resize:
    return Resize(*_size(argument, f"{where}: resize"))


def _resize_with_pad(argument: object, where: str) -> ResizeWithPad:
    return ResizeWithPad(*_size(argument, f"{where}: resize_with_pad"))


def _size(argument: object, where: str) -> tuple[int, int]:
    if isinstance(argument, list) and len(argument) == 2:
        height, width = argument
        if all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in (height, width)):
            return height, width
    raise ContractError(
        complaint(where, argument, f"[height, width], integers from 1 to {LARGEST_SIDE}")
    )


_PLAIN: dict[str, Callable[[], Operator]] = {
    "rad2deg": RadiansToDegrees,
    "deg2rad": DegreesToRadians,
    "quat2axisangle": QuaternionToAxisAngle,
}
_WITH_ARGUMENT: dict[str, Callable[[object, str], Operator]] = {
    "clamp": _clamp,
    "scale": _scale,
    "resize": _resize,
    "resize_with_pad": _resize_with_pad,
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _nearest(old: int, new: int) -> npt.NDArray[np.intp]:
    return ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
