"""Shapes of the tensors that pass a tap, as names for types.

B: batch. T: tokens. d: width of the residual stream. n: edits or scopes. To Python and to mypy each
is a Tensor.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

Stream = Annotated[Tensor, "B T d"]
TokenMask = Annotated[Tensor, "B T bool"]
TokenWeights = Annotated[Tensor, "B 1 T"]
TokenScopes = Annotated[Tensor, "B T n"]
PerToken = Annotated[Tensor, "B T 1"]
Pooled = Annotated[Tensor, "B d"]
Amounts = Annotated[Tensor, "n"]
Rows = Annotated[Tensor, "n d"]
TokenValues = Annotated[Tensor, "T"]
