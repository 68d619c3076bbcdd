from __future__ import annotations

import dataclasses
import math

from vla_sae_ros.core.catalogue import FeatureEntry, FeatureTest
from vla_sae_ros.msg import FeatureInfo
from vla_sae_ros.nodes.policy.messages import to_feature_info


def test_every_field_of_an_entry_reaches_its_message():
    entry = FeatureEntry(
        7, "lift", "goes up", "general", 2.5, 0.5, 0.25, 3.0, 0.125, 0.75, "person", "a note"
    ).with_test(FeatureTest("demo", "P2", "lift", "as named", "add +0.25: height +31 mm"))
    message = to_feature_info("expert.1", entry)
    assert message.site == "expert.1"
    told = {field.name: getattr(message, field.name) for field in dataclasses.fields(entry)}
    names = [field.name for field in dataclasses.fields(FeatureTest)]
    told["tests"] = tuple({name: getattr(one, name) for name in names} for one in message.tests)
    assert told == dataclasses.asdict(entry)
    kept = set(FeatureInfo.get_fields_and_field_types()) - {"site", "examples", "example_captions"}
    assert kept == set(told)


def test_what_is_unknown_is_nan_and_not_zero():
    message = to_feature_info("expert.1", FeatureEntry(7))
    assert all(
        math.isnan(value)
        for value in (
            message.coverage,
            message.density,
            message.onset_count,
            message.relative_run_length,
            message.general_probability,
        )
    )
