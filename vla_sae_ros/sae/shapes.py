"""Shapes of the tensors that autoencoders take and give, as names for types.

d: width of the residual stream. F: features. n: chosen features. k: listed features. N: samples.
"...": any dimensions in front, the same ones in and out. To Python and to mypy each is a Tensor.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

Residuals = Annotated[Tensor, "... d"]
Batch = Annotated[Tensor, "N d"]
Codes = Annotated[Tensor, "... F"]
ChosenCodes = Annotated[Tensor, "... n"]
PerSample = Annotated[Tensor, "..."]
PerFeature = Annotated[Tensor, "F"]
PerDimension = Annotated[Tensor, "d"]
Features = Annotated[Tensor, "n int64"]
ListedFeatures = Annotated[Tensor, "... k int64"]
ListedValues = Annotated[Tensor, "... k"]
Encoder = Annotated[Tensor, "d F"]
FeatureRows = Annotated[Tensor, "F d"]
Scalar = Annotated[Tensor, ""]
FeatureMask = Annotated[Tensor, "F bool"]
FeatureCounts = Annotated[Tensor, "F int64"]
