"""What every test runs in: its own ROS domain on this machine only, no screen, one thread."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from domains import take_domain
from node_logs import added_logs
from worker_groups import group_of

from vla_sae_ros.environment import prepare

pytest_plugins = ["bag_fixtures", "hanging_tests", "running_system"]
"""Fixtures of several rooms; test/helpers is on sys.path."""

BEGUN = pytest.StashKey[float]()
"""When a test's setup began, as time.time() says."""
AT_REST = 0.02
"""[s] in which what discovery was about to tell is told; a loaded machine may need longer."""

if TYPE_CHECKING:
    from group_scheduling import GroupScheduling
    from rclpy.context import Context
    from xdist.remote import Producer

    from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
    from vla_sae_ros.sae import SaeBundle

# Before numpy, rclpy or Qt are imported by a test. Neither two runs on one machine nor two workers
# of one run must hear each other, or what else somebody runs here.
os.environ["ROS_DOMAIN_ID"] = str(take_domain())
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="vla_sae_ros_")  # labels and notes
atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)
os.environ.setdefault("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
prepare()


@pytest.fixture(scope="session", autouse=True)
def ros_log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nodes log goes into the run's own folder, whichever process they are in."""
    folder = tmp_path_factory.mktemp("ros_log")
    os.environ["ROS_LOG_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def discovery_at_rest() -> Iterator[None]:
    """Let discovery come to rest before a node is destroyed.

    The Fast DDS of the wheels never comes back, and needs a whole core, if a participant (that of
    a context's last node) is destroyed in the moment in which it is told of endpoints of another:
    see `vla_sae_ros.wire.leaving`. In a process of one context this is rare; tests end several, one
    right after the other.
    """
    from rclpy.node import Node

    destroy = Node.destroy_node

    def destroy_at_rest(node: Node) -> None:
        time.sleep(AT_REST)
        destroy(node)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Node, "destroy_node", destroy_at_rest)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Give a worker whole groups of files, in the order of the collection."""
    from group_scheduling import GroupScheduling

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the groups with slow tests come first when several processes share the work."""
    if not hasattr(config, "workerinput"):
        return  # one process runs them all, in the order of the files
    slow = {group_of(item.path) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: group_of(item.path) not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the processes of the test's nodes logged while it ran."""
    report = yield
    if call.when == "setup":
        item.stash[BEGUN] = call.start
    if report.failed:
        run = item.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        for path, text in added_logs(run, item.stash[BEGUN]).items():
            report.sections.append((f"Log {path.relative_to(run)}", text))
    return report


@pytest.fixture
def ros_context() -> Iterator[Context]:
    """A fresh rclpy context; pass it to every node and executor of the test."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


@pytest.fixture(scope="session")
def tiny_policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shrunken, random policy of lerobot's own SmolVLA class, as a checkpoint folder."""
    import torch

    from vla_sae_ros.policy.checkpoints.checkpoint import save_checkpoint
    from vla_sae_ros.policy.tiny.tiny_smolvla import TinySize, build_tiny_smolvla, write_vlm_folder

    size = TinySize(
        image_size=64,
        patch_size=16,
        vision_width=48,
        vision_layers=1,
        text_width=48,
        text_layers=3,
        heads=3,
        mlp_width=64,
        chunk=6,
        denoising_steps=3,
        vocabulary=300,
    )
    folder = tmp_path_factory.mktemp("tiny")
    write_vlm_folder(folder / "vlm", ["pick up the butter and place it in the basket"], size)
    policy = build_tiny_smolvla(folder / "vlm", size)
    stats = {
        "observation.state": {"mean": torch.zeros(8), "std": torch.ones(8)},
        "action": {"mean": torch.zeros(7), "std": torch.ones(7)},
    }
    save_checkpoint(policy, stats, folder / "vlm", folder / "policy")
    return folder / "policy"


@pytest.fixture(scope="session")
def loaded(tiny_policy_folder: Path) -> LoadedPolicy:
    """The tiny policy, loaded as a user's would be."""
    from vla_sae_ros.policy.loading import load_policy

    return load_policy(tiny_policy_folder)


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., SaeBundle]:
    """Make a random SAE bundle: what it means does not matter, what it does to the stream does."""
    import torch

    from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
    from vla_sae_ros.policy.families.registry import adapter_of
    from vla_sae_ros.sae import SaeBundle, TopKSAE
    from vla_sae_ros.sae.bundle import BundleCard

    def make(
        loaded: LoadedPolicy, site: str, pooling: str = "mean", policy_id: str = ""
    ) -> SaeBundle:
        place = adapter_of(loaded).sites[site]
        width, size = place.width, 2 * place.width
        generator = torch.Generator().manual_seed(5)
        rows = torch.nn.functional.normalize(torch.randn(size, width, generator=generator), dim=-1)
        sae = TopKSAE(rows.T.clone(), torch.zeros(size), rows, torch.zeros(width), 8, "layer_norm")
        card = BundleCard(
            policy_id or loaded.policy_id,
            loaded.name,
            site,
            width,
            size,
            8,
            pooling,
            place.token_groups,
            "layer_norm",
            3.0,
            1.0,
        )
        entries = [
            FeatureEntry(f, label=f"feature {f}", observed_max=2.0) for f in range(0, size, 2)
        ]
        return SaeBundle(sae, card, Catalogue(site, entries))

    return make
