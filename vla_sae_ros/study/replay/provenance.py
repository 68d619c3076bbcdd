"""What a bag says it was recorded with, against what would replay it now."""

from __future__ import annotations

from collections.abc import Mapping

from vla_sae_ros.bags.opened_bag import OpenedBag, messages
from vla_sae_ros.bags.reading import descriptions
from vla_sae_ros.policy.checkpoints.versions import numeric_versions
from vla_sae_ros.policy.inference import Engine
from vla_sae_ros.resources import software_version

Facts = Mapping[str, str]
"""Name -> value, e.g. "policy_id", "bundle_id.expert.1", "torch"."""

SOFTWARE = "software_version"


def recorded_facts(bag: OpenedBag) -> dict[str, str]:
    """Return what the bag says about its policy; an old or partial bag says less."""
    facts: dict[str, str] = {}
    for _, message in messages(bag, "policy/catalogue"):
        facts["policy_id"] = message.policy_id
        pairs = zip(message.sites, message.bundle_ids, strict=False)
        facts |= {f"bundle_id.{site}": bundle for site, bundle in pairs}
    for each in descriptions(bag):
        if "policy_id" in each.values:
            facts |= each.values
            facts[SOFTWARE] = each.software_version
    return facts


def present_facts(engine: Engine) -> dict[str, str]:
    """Return the same of an engine on this machine."""
    bundles = {f"bundle_id.{bundle.card.site}": bundle.bundle_id for bundle in engine.bundles}
    own = {"policy_id": engine.policy_id, SOFTWARE: software_version()}
    return own | bundles | numeric_versions()


def deviations(recorded: Facts, present: Facts) -> list[str]:
    """Return in words where the two differ, or where the bag does not say."""
    bundles = {name for name in recorded if name.startswith("bundle_id.")}
    said = []
    for name in dict.fromkeys([*present, *sorted(bundles)]):
        before, now = recorded.get(name), present.get(name)
        if before is None:
            said.append(f"{name}: not recorded in the bag, now {now}")
        elif before != now:
            said.append(f"{name}: recorded {before}, now {now or 'none'}")
    return said
