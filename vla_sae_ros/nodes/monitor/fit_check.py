"""Whether what is heard is what a monitor was calibrated on."""

from __future__ import annotations

from vla_sae_ros.monitors.card import MonitorCard
from vla_sae_ros.msg import FeatureCatalogue


def why_not(card: MonitorCard, heard: FeatureCatalogue | None) -> str:
    """Return why inferences of this policy cannot be scored; empty: they can.

    heard: the newest `policy/catalogue`; None before the first.
    """
    if heard is None:
        return (
            "policy/catalogue, which identifies the policy and its SAE, has not been received yet"
        )
    if heard.policy_id != card.policy_id:
        return f"policy {heard.policy_id!r} is not {card.policy_id!r}, which it was calibrated on"
    bundles = dict(zip(heard.sites, heard.bundle_ids, strict=False))
    if card.site not in bundles:
        return f"the policy has no SAE at {card.site}; it has {sorted(bundles)}"
    if bundles[card.site] != card.bundle_id:
        return (
            f"SAE {bundles[card.site]!r} at {card.site} is not {card.bundle_id!r}, "
            "which it was calibrated with"
        )
    return ""
