"""Whether a feature is found again by other SAEs of the same site, e.g. of other seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle

_ROWS_AT_ONCE = 1024  # bounds the memory at 1024 x F numbers


def largest_cosine(
    decoder: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return (F,): of each row of `decoder` (F, d) the largest cosine with a row of `other` (G, d).

    Several rows may find the same one; a row of zeros has cosine 0 with everything.
    """
    one, two = (unit_rows(rows) for rows in (decoder, other))
    found = [
        (one[start : start + _ROWS_AT_ONCE] @ two.T).max(axis=1)
        for start in range(0, len(one), _ROWS_AT_ONCE)
    ]
    return np.concatenate(found)


def seed_stability(bundle: SaeBundle, other: SaeBundle) -> npt.NDArray[np.float32]:
    """Return (F,): the largest decoder cosine of each feature in another SAE of the same stream.

    Raises:
        ConfigurationError: the same SAE, or one of another policy, site or width.
    """
    if other.bundle_id == bundle.bundle_id:
        raise ConfigurationError(
            f"Bundle {other.bundle_id} is the one to be compared. Give SAEs of other seeds."
        )
    card = bundle.card
    other.check_fits(card.policy_id, card.policy_site, card.d_in)
    return largest_cosine(decoder_rows(bundle), decoder_rows(other))


def decoder_rows(bundle: SaeBundle) -> npt.NDArray[np.float32]:
    """Return (F, d): the decoder's rows."""
    return np.asarray(bundle.sae.W_dec.detach().cpu().numpy(), np.float32)


def unit_rows(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the rows (F, d) at length 1; a row of zeros stays one."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norm > 0, norm, 1), np.float32)
