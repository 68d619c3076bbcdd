"""config/sros2/policies.xml: its structure, and that it allows what the nodes have, no more."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
from node_rigs import NAMES, make_rig
from patience import eventually
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vla_sae_ros.clients.client import Client
from vla_sae_ros.nodes.recorder.topics import CONTRACT_TOPICS
from vla_sae_ros.panel.ros.ros_client import RosClient
from vla_sae_ros.resources import resource

POLICIES = resource("config", "sros2", "policies.xml")
SECTIONS = {
    "topics": ("topic", ("publish", "subscribe")),
    "services": ("service", ("reply", "request")),
    "actions": ("action", ("call", "execute")),
}
"""By the policies' documentation: section -> its entries, and the attributes that say who may."""
ENCLAVES = {
    "policy": "/vla_sae/policy",
    "sim bridge": "/vla_sae/bridge",
    "robot bridge": "/vla_sae/bridge",
    "recorder": "/vla_sae/recorder",
    "markers": "/vla_sae/markers",
    "monitor": "/vla_sae/monitor",
    "forward_watchdog": "/vla_sae/forward_watchdog",
    "cameras": "/vla_sae/cameras",
    "simulated robot": "/vla_sae/robot",
    "panel": "/vla_sae/panel",
    "script": "/vla_sae/script",
}
OTHERS = {"/clock"}
"""What a simulator of somebody else's publishes."""


@pytest.fixture(scope="module")
def enclaves() -> dict[str, ElementTree.Element]:
    root = ElementTree.parse(POLICIES).getroot()
    return {each.get("path", ""): each for each in root.iter("enclave")}


def test_the_file_has_the_structure_that_sros2_reads(enclaves):
    root = ElementTree.parse(POLICIES).getroot()
    assert root.tag == "policy" and root.get("version") == "0.2.0"
    assert [each.tag for each in root] == ["enclaves"]
    assert set(enclaves) == set(ENCLAVES.values())
    for path, enclave in enclaves.items():
        assert path.startswith("/") and [each.tag for each in enclave] == ["profiles"], path
        for profile in enclave[0]:
            assert profile.tag == "profile" and set(profile.attrib) == {"ns", "node"}
            for section in profile:
                entry, attributes = SECTIONS[section.tag]
                assert section.attrib and set(section.attrib) <= set(attributes), path
                assert set(section.attrib.values()) == {"ALLOW"}, "what is not allowed is denied"
                assert len(section) and {each.tag for each in section} == {entry}
                assert all(each.text and not each.attrib and not len(each) for each in section)


def allowed(enclave: ElementTree.Element) -> set[tuple[str, str]]:
    """Return (what may be done, full name)."""
    found = set()
    for profile in enclave.iter("profile"):
        ns, node = profile.get("ns", "/").rstrip("/"), profile.get("node")
        for section in profile:
            for entry in section:
                name = (entry.text or "").strip()
                if name.startswith("~/"):
                    name = f"{ns}/{node}/{name[2:]}"
                full = name if name.startswith("/") else f"{ns}/{name}"
                found |= {(may, full) for may in section.attrib}
    return found


def used(asker: Node, name: str) -> set[tuple[str, str]]:
    """Return what the graph says that a node of the root namespace does."""
    kinds = {
        "publish": asker.get_publisher_names_and_types_by_node,
        "subscribe": asker.get_subscriber_names_and_types_by_node,
        "reply": asker.get_service_names_and_types_by_node,
        "request": asker.get_client_names_and_types_by_node,
    }
    found = set()
    for may, ask in kinds.items():
        for full, _types in ask(name, "/"):
            found.add((may, full))
    return found


def as_action(may: str, name: str) -> tuple[str, str]:
    """Return what a topic or service means that is a part of an action."""
    action, inside, _ = name.partition("/_action/")
    serves = may in ("publish", "reply")
    return ("execute" if serves else "call", action) if inside else (may, name)


def permits(rules: set[tuple[str, str]], wanted: tuple[str, str]) -> bool:
    """Whether it is allowed itself, or as a part of an action that is."""
    return any(
        may == asked and fnmatchcase(name, allowed_name)
        for asked, name in {wanted, as_action(*wanted)}
        for may, allowed_name in rules
    )


class Watcher:
    """A node that looks at the graph."""

    def __init__(self, context: Context) -> None:
        self.node = Node("watcher", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)

    def look(self, name: str, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return what a node does, once the graph knows at least `wanted` of it."""

        def known() -> bool:
            self.executor.spin_once(timeout_sec=0.05)
            there = [each for each, _ in self.node.get_node_names_and_namespaces()]
            return name in there and wanted <= used(self.node, name)

        eventually(known, f"{name} was not seen to do {wanted}")
        return used(self.node, name)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def watcher(ros_context) -> Iterator[Watcher]:
    made = Watcher(ros_context)
    yield made
    made.close()


def own(node: Node) -> set[tuple[str, str]]:
    """Return what a node of this process offers and hears, without the graph."""
    found = {("publish", each.topic_name) for each in node.publishers}
    found |= {("subscribe", each.topic_name) for each in node.subscriptions}
    found |= {("reply", node.resolve_service_name(each.srv_name)) for each in node.services}
    return found | {("request", node.resolve_service_name(each.srv_name)) for each in node.clients}


@pytest.mark.parametrize("name", NAMES)
def test_every_node_may_do_what_it_does(
    name, request, ros_context, tmp_path, monkeypatch, watcher, enclaves
):
    monkeypatch.chdir(tmp_path)
    given = {"autorun": True} if name == "sim bridge" else {}
    rig = make_rig(name, ros_context, request, tmp_path, use_sim_time=True, **given)
    does = watcher.look(rig.node.get_name(), own(rig.node))
    rig.node.destroy_node()
    rules = allowed(enclaves[ENCLAVES[name]])
    assert [each for each in sorted(does) if not permits(rules, each)] == []


def test_the_panel_and_a_script_may_do_what_they_do(ros_context, enclaves):
    panel = Node("panel_1", context=ros_context)
    client = RosClient(panel)
    client.watch("agentview")
    client.watch("")
    with Client("script_1") as script:
        for name, node in (("panel", panel), ("script", script._node)):
            does = {as_action(*each) for each in own(node)} | {("call", "/run_episode")}
            rules = allowed(enclaves[ENCLAVES[name]])
            assert [each for each in sorted(does) if not permits(rules, each)] == [], name
    client.close()
    panel.destroy_node()


def test_the_recorder_may_hear_all_that_it_records(enclaves):
    rules = allowed(enclaves["/vla_sae/recorder"])
    names = [each.name for each in CONTRACT_TOPICS] + ["observation/image/agentview/compressed"]
    assert all(permits(rules, ("subscribe", f"/{each.lstrip('/')}")) for each in names)


def test_whatever_is_asked_for_or_heard_is_offered_by_somebody(enclaves):
    everything = set().union(*(allowed(each) for each in enclaves.values()))
    for wants, offers in (("request", "reply"), ("subscribe", "publish"), ("call", "execute")):
        offered = {name for may, name in everything if may == offers} | OTHERS
        executed = {name for may, name in everything if may == "execute"}
        for may, name in sorted(everything):
            if may == wants and "*" not in name:
                action, _, inside = name.partition("/_action/")
                assert (inside and action in executed) or any(
                    fnmatchcase(name, each) for each in offered
                ), (may, name)


def test_a_monitor_may_ask_for_less_and_start_nothing(enclaves):
    rules = allowed(enclaves["/vla_sae/monitor"])
    assert permits(rules, ("request", "/run_episode/_action/cancel_goal"))
    for asked in (
        ("request", "/run_episode/_action/send_goal"),
        ("call", "/run_episode"),
        ("request", "/steering/set"),
        ("request", "/bridge/recover"),
        ("request", "/bridge/takeover"),
        ("publish", "/policy/action_chunk"),
    ):
        assert not permits(rules, asked)


@pytest.mark.parametrize("enclave", ["recorder", "markers", "cameras", "forward_watchdog"])
def test_who_only_watches_or_records_steers_nothing_and_moves_nothing(enclaves, enclave):
    rules = allowed(enclaves[f"/vla_sae/{enclave}"])
    for asked in ("steering/set", "steering/bypass", "bridge/enable", "bridge/recover"):
        assert not permits(rules, ("request", f"/{asked}"))
    assert not permits(rules, ("call", "/run_episode"))
    assert not permits(rules, ("publish", "/policy/action_chunk"))
