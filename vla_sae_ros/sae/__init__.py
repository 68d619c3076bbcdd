"""Sparse autoencoders on a policy's residual stream: the module, its files and its training."""

from vla_sae_ros.sae.bundle import SaeBundle
from vla_sae_ros.sae.saelens_format import load_sae as load
from vla_sae_ros.sae.topk import TopKSAE

__all__ = ["SaeBundle", "TopKSAE", "load"]
