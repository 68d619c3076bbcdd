"""The monitor node over DDS: planted scores, alarms, and what they do."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalInfo
from action_msgs.srv import CancelGoal
from geometry_msgs.msg import PoseStamped
from monitored import BUNDLE_ID, POLICY_ID, SITE, WIDTH, planted_monitor
from patience import PATIENCE, eventually
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.monitors.watch import Watch
from vla_sae_ros.msg import Annotation, FeatureActivations, FeatureCatalogue, MonitorState
from vla_sae_ros.nodes.monitor.hand_speed import HandSpeed
from vla_sae_ros.nodes.monitor.messages import to_sample
from vla_sae_ros.nodes.monitor.monitor_node import MonitorNode
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_pose

START = 1_700_000_000_000_000_000
THRESHOLD = 0.7
"""Of the planted monitor's FVU, which it averages over half a second."""


class System:
    """Stands in for policy and bridge, and keeps what the monitor says and asks for."""

    def __init__(self, context: Context) -> None:
        self.node = rclpy.create_node("system", context=context)
        self.arrived = threading.Condition()
        self.states: list[MonitorState] = []
        self.remarks: list[Annotation] = []
        self.asked: list[tuple[str, object]] = []
        self.refuse = ""
        self._features = self.node.create_publisher(
            FeatureActivations, "policy/features", qos.FEATURES
        )
        self._catalogue = self.node.create_publisher(
            FeatureCatalogue, "policy/catalogue", qos.LATCHED
        )
        self.node.create_subscription(
            MonitorState, "monitor/state", lambda m: self._keep(self.states, m), qos.FEATURES
        )
        self.node.create_subscription(
            Annotation, "annotation", lambda m: self._keep(self.remarks, m), qos.EVENTS
        )

    def _keep(self, kept: list[Any], one: object) -> None:
        with self.arrived:
            kept.append(one)
            self.arrived.notify_all()

    def offer(self, *names: str) -> None:
        """Offer these services."""
        kinds = {"bridge/stop": Trigger, "run_episode/_action/cancel_goal": CancelGoal}
        for name in names:
            self.node.create_service(
                kinds.get(name, SetBool), name, self._answer(name), qos_profile=qos.SERVICE
            )

    def _answer(self, name: str) -> Callable[[Any, Any], Any]:
        def answer(request: Any, response: Any) -> Any:
            self._keep(self.asked, (name, getattr(request, "data", None)))
            if isinstance(response, CancelGoal.Response):
                response.goals_canceling = [] if self.refuse else [GoalInfo()]
            else:
                response.success, response.message = not self.refuse, self.refuse
            return response

        return answer

    def tell_policy(self, policy_id: str = POLICY_ID, bundle_id: str = BUNDLE_ID) -> None:
        self._catalogue.publish(
            FeatureCatalogue(policy_id=policy_id, sites=[SITE], bundle_ids=[bundle_id])
        )

    def infer(
        self, step: int, fvu: float, episode: str = "e", site: str = SITE, pooled: Any = ()
    ) -> None:
        header = to_header(START + step * 50_000_000)
        self._features.publish(
            FeatureActivations(
                header=header,
                episode_id=episode,
                site=site,
                inference=step + 1,
                observation_step=step,
                fvu=fvu,
                pooled=np.asarray(pooled, np.float32).tolist(),
            )
        )

    def wait(self, ready: Callable[[], bool]) -> None:
        with self.arrived:
            assert self.arrived.wait_for(ready, PATIENCE)

    def after(self, step: int, episode: str = "e") -> MonitorState:
        """Return the newest state about an inference."""

        def found() -> list[MonitorState]:
            about = (step, episode)
            return [s for s in self.states if (s.observation_step, s.episode_id) == about]

        self.wait(lambda: bool(found()))
        return found()[-1]


@pytest.fixture
def make(
    tmp_path: Path, ros_context: Context
) -> Iterator[Callable[..., tuple[MonitorNode, System]]]:
    """Make the node with these parameters, and the system it watches, and spin them."""
    executor, nodes = SingleThreadedExecutor(context=ros_context), []
    thread = threading.Thread(target=executor.spin, daemon=True)

    def started(told: bool = True, **parameters: str) -> tuple[MonitorNode, System]:
        planted_monitor().save(tmp_path / "monitor")
        given = {"monitor": str(tmp_path / "monitor")} | parameters
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        monitor = MonitorNode(context=ros_context, parameter_overrides=overrides)
        system = System(ros_context)
        nodes.extend([monitor, system.node])
        for node in nodes:
            executor.add_node(node)
        thread.start()
        eventually(lambda: monitor.count_publishers("policy/features") == 1)
        eventually(lambda: system.node.count_publishers("monitor/state") == 1)
        eventually(lambda: system.node.count_subscribers("policy/features") == 1)
        if told:
            system.tell_policy()
            eventually(lambda: not monitor._why)
        return monitor, system

    yield started
    executor.shutdown()
    thread.join()
    for node in nodes:
        node.destroy_node()


def test_every_inference_gets_score_threshold_and_alarm(
    make: Callable[..., tuple[MonitorNode, System]],
) -> None:
    _, system = make()
    watch = Watch(planted_monitor().scores["fvu"], 20.0)
    for step, fvu in enumerate((0.2, 0.9, 0.9, 2.0, 0.0, 0.0)):
        system.infer(2 * step, fvu)
        said = system.after(2 * step)
        message = FeatureActivations(observation_step=2 * step, fvu=float(np.float32(fvu)))
        wanted = watch.feed(to_sample(message, WIDTH, math.nan))
        assert said.score == pytest.approx(wanted.score)
        assert said.threshold == pytest.approx(THRESHOLD)
        assert (said.above, said.alarm, said.alarm_step) == (
            wanted.above,
            wanted.alarm,
            wanted.alarm_step,
        )
        assert said.header.stamp.nanosec == (2 * step * 50_000_000) % 10**9
    assert said.alarm and said.acted and said.monitor_id == planted_monitor().monitor_id
    assert "fvu at backbone.1" in said.detail and "step 6" in said.detail
    system.infer(0, 0.1, episode="next")
    assert not system.after(0, "next").alarm


def test_other_sites_and_late_inferences_are_not_scored(
    make: Callable[..., tuple[MonitorNode, System]],
) -> None:
    monitor, system = make()
    for step, site in ((10, SITE), (12, "expert.1"), (4, SITE), (14, SITE)):
        system.infer(step, 0.1, site=site)
    system.after(14)
    assert [one.observation_step for one in system.states] == [10, 14]
    assert monitor._late == 1


@pytest.mark.parametrize("score", ["mahalanobis", "probe"])
def test_scores_of_the_pooled_activation_are_the_offline_ones(
    make: Callable[..., tuple[MonitorNode, System]], score: str
) -> None:
    _, system = make(score=score)
    watch = Watch(planted_monitor().scores[score], 20.0)
    draw = np.random.default_rng(0)
    for step in range(0, 8, 2):
        x = draw.normal(size=WIDTH).astype(np.float32)
        system.infer(step, 0.1, pooled=x)
        message = FeatureActivations(observation_step=step, pooled=x.tolist())
        wanted = watch.feed(to_sample(message, WIDTH, math.nan))
        assert system.after(step).score == pytest.approx(wanted.score, rel=1e-5)


@pytest.mark.parametrize("pooled", [(), (1.0,) * (WIDTH + 1), (math.nan,) * WIDTH])
def test_without_what_it_needs_there_is_no_score_and_no_alarm_and_it_says_why(
    make: Callable[..., tuple[MonitorNode, System]], pooled: tuple[float, ...]
) -> None:
    monitor, system = make(score="mahalanobis")
    system.infer(0, 0.1, pooled=pooled)
    said = system.after(0)
    assert math.isnan(said.score) and not said.alarm
    assert "publish_pooled" in said.detail
    assert "publish_pooled" in monitor._state()[1]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, "policy/catalogue"),
        ({"policy_id": "another"}, "'another' is not"),
        ({"bundle_id": "another"}, "SAE 'another' at backbone.1"),
    ],
)
def test_another_policy_or_sae_is_not_scored(
    make: Callable[..., tuple[MonitorNode, System]], told: dict[str, str] | None, words: str
) -> None:
    monitor, system = make(told=False, on_alarm="mark")
    if told is not None:
        system.tell_policy(**told)
        eventually(lambda: "another" in monitor._why)
    system.infer(0, 99.0)
    said = system.after(0)
    assert math.isnan(said.score) and not said.alarm and words in said.detail
    assert words in monitor._state()[1] and not system.remarks


def test_an_alarm_is_marked_once_per_episode(
    make: Callable[..., tuple[MonitorNode, System]],
) -> None:
    _, system = make(on_alarm="mark")
    for episode in ("a", "b"):
        for step in (0, 2, 4):
            system.infer(step, 5.0, episode=episode)
            system.after(step, episode)
    system.wait(lambda: len(system.remarks) == 2)
    assert [one.episode_id for one in system.remarks] == ["a", "b"]
    assert all(one.author == "monitor" and one.step == 0 for one in system.remarks)
    assert "fvu at backbone.1 5 above 0.7 at step 0, inference " in system.remarks[0].text


@pytest.mark.parametrize(
    ("on_alarm", "offered", "asked"),
    [
        ("bypass", ("steering/bypass",), ("steering/bypass", True)),
        ("hold", ("bridge/enable", "bridge/stop"), ("bridge/enable", False)),
        ("stop", ("bridge/enable", "bridge/stop"), ("bridge/stop", None)),
        (
            "hold",
            ("run_episode/_action/cancel_goal",),
            ("run_episode/_action/cancel_goal", None),
        ),
        (
            "stop",
            ("run_episode/_action/cancel_goal",),
            ("run_episode/_action/cancel_goal", None),
        ),
    ],
)
def test_an_alarm_asks_for_less_once_and_marks_the_bag(
    make: Callable[..., tuple[MonitorNode, System]],
    on_alarm: str,
    offered: tuple[str, ...],
    asked: tuple[str, object],
) -> None:
    monitor, system = make(on_alarm=on_alarm)
    system.offer(*offered)
    clients = [client for client in monitor.clients if client.srv_name.endswith(asked[0])]
    eventually(lambda: bool(clients) and clients[0].service_is_ready())
    system.infer(0, 0.1)
    assert not system.after(0).alarm and not system.asked
    system.infer(2, 9.0)
    eventually(lambda: monitor._response.acted)
    for step in (4, 6):
        system.infer(step, 9.0)
        assert system.after(step).acted
    assert system.asked == [asked]
    system.wait(lambda: len(system.remarks) == 1)
    assert MonitorState.BYPASS <= system.after(6).on_alarm <= MonitorState.STOP


def test_what_is_refused_or_not_offered_is_asked_for_again_and_said(
    make: Callable[..., tuple[MonitorNode, System]],
) -> None:
    monitor, system = make(on_alarm="stop")
    system.infer(0, 9.0)
    assert "no node offers" in system.after(0).detail and not system.after(0).acted
    system.refuse = "not now"
    system.offer("bridge/stop")
    eventually(lambda: any(client.service_is_ready() for client in monitor.clients))
    system.infer(2, 9.0)
    eventually(lambda: "not now" in monitor._response.words)
    assert "not now" in monitor._state()[1]
    system.refuse = ""
    system.infer(4, 0.0)  # the alarm of this episode still stands
    eventually(lambda: monitor._response.acted)
    system.infer(6, 0.0)
    assert system.after(6).acted and "the robot is stopped" in system.after(6).detail


def test_it_has_no_way_to_steer_or_enable_more(
    make: Callable[..., tuple[MonitorNode, System]],
) -> None:
    monitor, _ = make()
    services = {client.srv_name.lstrip("/") for client in monitor.clients}
    assert services == {
        "steering/bypass",
        "bridge/enable",
        "bridge/stop",
        "run_episode/_action/cancel_goal",
    }
    for on_alarm in ("bypass", "hold", "stop"):
        for client, request, _ in monitor._response._ways(on_alarm):
            if client.srv_name.endswith("steering/bypass"):
                assert request.data is True
            if client.srv_name.endswith("bridge/enable"):
                assert request.data is False
    (changed,) = monitor.set_parameters([Parameter("on_alarm", value="enable")])
    assert not changed.successful and "'bypass'" in changed.reason
    (changed,) = monitor.set_parameters([Parameter("on_alarm", value="hold")])
    assert changed.successful and monitor._values.on_alarm == "hold"


def test_the_hands_speed_is_its_way_between_two_inferences(
    make: Callable[..., tuple[MonitorNode, System]],
) -> None:
    monitor, _ = make()
    speed = HandSpeed(monitor)

    def pose(at: float, x: float) -> PoseStamped:
        stamp = to_header(START + round(at * 1e9))
        return to_pose(np.array([x, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0]), stamp)

    assert math.isnan(speed.since_before(START))
    for at, x in ((0.0, 0.0), (0.05, 0.3), (0.1, 0.2)):
        speed._take(pose(at, x))
    assert math.isnan(speed.since_before(START))
    assert speed.since_before(START + 100_000_000) == pytest.approx(2.0)
    speed.begin()
    assert math.isnan(speed.since_before(START + 100_000_000))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "vla-sae monitor fit"),
        ({"monitor": "/nowhere"}, "monitor.yaml"),
        ({"monitor": "SAVED", "score": "time"}, "fvu, mahalanobis, probe"),
        ({"monitor": "SAVED", "on_alarm": "cry"}, "on_alarm"),
    ],
)
def test_a_node_without_a_monitor_does_not_start(
    tmp_path: Path, ros_context: Context, parameters: dict[str, str], words: str
) -> None:
    planted_monitor().save(tmp_path / "monitor")
    given = {
        name: str(tmp_path / "monitor") if value == "SAVED" else value
        for name, value in parameters.items()
    }
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    with pytest.raises(ConfigurationError, match=words):
        MonitorNode(context=ros_context, parameter_overrides=overrides)
