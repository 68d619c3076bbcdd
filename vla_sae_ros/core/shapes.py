"""Shapes of the arrays that travel between robot and policy, as names for types.

H: rows of a chunk. A: width of an action. C: width of a command. F: features. To Python and to
mypy each is a numpy array.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt

ActionRows = Annotated[npt.NDArray[np.float32], "H A"]
ActionVector = Annotated[npt.NDArray[np.float32], "A"]
CommandVector = Annotated[npt.NDArray[np.float32], "C"]
Picture = Annotated[npt.NDArray[np.uint8], "height width 3, RGB"]
PerFeature = Annotated[npt.NDArray[np.float32], "F"]
