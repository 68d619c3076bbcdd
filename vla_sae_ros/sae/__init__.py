"""Sparse autoencoders on a policy's residual stream: the kinds, their files and their training."""

from vla_sae_ros.sae.bundle import SaeBundle
from vla_sae_ros.sae.formats.loading import load
from vla_sae_ros.sae.kinds.active_code import ActiveCode
from vla_sae_ros.sae.kinds.batch_topk import BatchTopKSAE
from vla_sae_ros.sae.kinds.directions import Directions
from vla_sae_ros.sae.kinds.jumprelu import JumpReLUSAE
from vla_sae_ros.sae.kinds.relu import ReLUSAE
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.kinds.topk import TopKSAE

__all__ = [
    "ActiveCode",
    "BatchTopKSAE",
    "Directions",
    "JumpReLUSAE",
    "ReLUSAE",
    "SaeBundle",
    "SparseAutoencoder",
    "TopKSAE",
    "load",
]
