"""The TopK sparse autoencoder, with exactly the arithmetic of SAELens >= 6 `topk` checkpoints.

Source of the architecture: Gao et al. 2024, "Scaling and evaluating sparse autoencoders".
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError, complaint

NORMALIZATIONS = ("none", "layer_norm")
_LAYER_NORM_EPSILON = 1e-5


class TopKSAE(nn.Module):
    """A TopK autoencoder of d_in = d inputs and F features; float32, no gradients.

    With x_n the normalised input and b_in = b_dec (zero without `apply_b_dec_to_input`):
    z = relu(top_k((x_n - b_in) @ W_enc + b_enc)), x_n ~ z @ W_dec + b_dec.
    A change dz of the code changes the residual by `scale * (dz @ W_dec)`, where `scale` comes
    from `normalize`; the reconstruction itself never has to be put into the policy.
    """

    W_enc: nn.Parameter
    b_enc: nn.Parameter
    W_dec: nn.Parameter
    b_dec: nn.Parameter

    def __init__(
        self,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        k: int,
        normalization: str = "none",
        apply_b_dec_to_input: bool = True,
    ) -> None:
        """Take the weights W_enc (d, F), b_enc (F,), W_dec (F, d), b_dec (d,), all finite.

        Raises ConfigurationError naming the first weight, k or normalisation that cannot be.
        """
        super().__init__()
        weights = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
        _check_weights(weights)
        _check_k(k, W_enc.shape[1])
        if normalization not in NORMALIZATIONS:
            raise ConfigurationError(
                complaint("normalization of the SAE", normalization, NORMALIZATIONS)
            )
        for name, weight in weights.items():
            value = weight.detach().to(torch.float32).contiguous()
            setattr(self, name, nn.Parameter(value, requires_grad=False))
        self.k = k
        self.normalization = normalization
        self.apply_b_dec_to_input = apply_b_dec_to_input

    @property
    def d_in(self) -> int:
        """Width d of the residual stream this autoencoder reads."""
        return self.W_enc.shape[0]

    @property
    def dictionary_size(self) -> int:
        """Number F of features."""
        return self.W_enc.shape[1]

    def normalize(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x_n (..., d), scale (..., 1) and shift (..., 1) of x (..., d), in float32.

        As in SAELens the layer norm divides by (unbiased std + 1e-5) on the way in and multiplies
        by the std alone on the way out: `scale` is that std.
        """
        x = x.to(torch.float32)
        if self.normalization == "none":
            side = (*x.shape[:-1], 1)
            return x, x.new_ones(side), x.new_zeros(side)
        shift = x.mean(dim=-1, keepdim=True)
        centred = x - shift
        scale = centred.std(dim=-1, keepdim=True)
        return centred.div_(scale + _LAYER_NORM_EPSILON), scale, shift

    def encode_topk(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return index (..., k) int64, in no order, and value (..., k) >= 0 of x (..., d)."""
        return self.encode_normalized(self.normalize(x)[0])

    def encode_normalized(self, x_n: Tensor) -> tuple[Tensor, Tensor]:
        """Encode what `normalize` returned, for a caller that needs its scale as well."""
        rows = x_n.reshape(-1, self.d_in)
        if self.apply_b_dec_to_input:
            rows = rows - self.b_dec
        hidden = torch.addmm(self.b_enc, rows, self.W_enc)
        value, index = hidden.topk(self.k, dim=-1, sorted=False)
        shape = (*x_n.shape[:-1], self.k)
        return index.view(shape), value.relu_().view(shape)

    def encode(self, x: Tensor) -> Tensor:
        """Return the dense code (..., F) of x (..., d)."""
        index, value = self.encode_topk(x)
        code = value.new_zeros((*x.shape[:-1], self.dictionary_size))
        return code.scatter_(-1, index, value)

    def pre_activation(self, x: Tensor, features: Tensor) -> Tensor:
        """Return the code (..., n) of `features` (n,) for x (..., d); 0 outside the top k."""
        return code_of(*self.encode_topk(x), features)

    def decode(self, z: Tensor) -> Tensor:
        """Return the normalised reconstruction (..., d) of the dense code z (..., F)."""
        rows = torch.addmm(self.b_dec, z.reshape(-1, self.dictionary_size), self.W_dec)
        return rows.view(*z.shape[:-1], self.d_in)

    def decode_topk(self, index: Tensor, value: Tensor) -> Tensor:
        """Return the normalised reconstruction (..., d) of a sparse code; reads only its rows."""
        rows = functional.embedding_bag(
            index.reshape(-1, index.shape[-1]),
            self.W_dec,
            mode="sum",
            per_sample_weights=value.reshape(-1, value.shape[-1]),
        )
        return rows.add_(self.b_dec).view(*index.shape[:-1], self.d_in)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the reconstruction (..., d) of x (..., d), in the units of x."""
        x_n, scale, shift = self.normalize(x)
        return self.decode_topk(*self.encode_normalized(x_n)) * scale + shift

    def fraction_unexplained(self, x_n: Tensor, index: Tensor, value: Tensor) -> Tensor:
        """Return sum |x_n - reconstruction|^2 / sum |x_n - b_dec|^2 as a 0-d tensor.

        The FVU of few samples: b_dec, the centre of the training data, stands for their mean.
        """
        # Gathering rows beats embedding_bag for the few samples this is meant for.
        error = x_n - self.b_dec - (value.unsqueeze(-2) @ self.W_dec[index]).squeeze(-2)
        return error.square_().sum() / (x_n - self.b_dec).square_().sum()

    def save(self, folder: object) -> None:
        """Write `cfg.json` and `sae_weights.safetensors`, as SAELens reads them, into `folder`."""
        from vla_sae_ros.sae.saelens_format import save_sae  # a cycle otherwise

        save_sae(self, folder)


def code_of(index: Tensor, value: Tensor, features: Tensor) -> Tensor:
    """Return the code (..., n) of `features` (n,) from a sparse code (..., k); 0 where absent.

    Meant for the few features being edited: it compares n x k indices per token.
    """
    matches = index.unsqueeze(-2) == features.unsqueeze(-1)
    return (value.unsqueeze(-2) * matches).sum(dim=-1)


def _check_weights(weights: dict[str, Tensor]) -> None:
    if weights["W_enc"].dim() != 2:
        shape = tuple(weights["W_enc"].shape)
        raise ConfigurationError(complaint("shape of W_enc", shape, "(d_in, dictionary size)"))
    d_in, size = weights["W_enc"].shape
    shapes = {"W_enc": (d_in, size), "b_enc": (size,), "W_dec": (size, d_in), "b_dec": (d_in,)}
    for name, shape in shapes.items():
        if tuple(weights[name].shape) != shape:
            raise ConfigurationError(
                complaint(f"shape of {name}", tuple(weights[name].shape), f"{shape}, as W_enc says")
            )
        if not bool(torch.isfinite(weights[name]).all()):
            bad = int((~torch.isfinite(weights[name])).sum())
            raise ConfigurationError(
                complaint(
                    f"number of NaN or infinite values in {name}", bad, 0, "Train the SAE again."
                )
            )


def _check_k(k: object, size: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= size:
        raise ConfigurationError(complaint("k, the number of active features", k, f"1 to {size}"))
