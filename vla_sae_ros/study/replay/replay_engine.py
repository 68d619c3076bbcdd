"""The policy that replays a bag, set up as the bag says it was served."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace

import torch

from vla_sae_ros.core.contract import Contract, load_contract
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.policy.checkpoints.feature_match import read_map
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.load_options import load_options
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource, share_folder
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sae.devices import usable_device
from vla_sae_ros.study.replay.provenance import Facts

MOST_THREADS = 256
"""As the policy node takes."""
_DEMO = ("models", "demo", "policy")


def engine_for(args: argparse.Namespace, recorded: Facts) -> PolicyEngine:
    """Return the engine that the arguments name, with the recorded device and threads.

    Raises ConfigurationError for a policy or bundle that cannot be used.
    """
    folder = args.policy or share_folder().joinpath(*_DEMO)
    device = str(usable_device(args.device or recorded.get("parameter.device", "cpu")))
    torch.set_num_threads(threads_of(recorded))
    bundles = args.bundles or sorted(
        path.parent for path in (folder.parent / "sae").glob("*/bundle.yaml")
    )
    options = load_options(args)
    if not options.unnorm_key:
        options = replace(options, unnorm_key=recorded.get("parameter.unnorm_key", ""))
    loaded = load_policy(folder, device, options)
    engine = PolicyEngine(loaded, [SaeBundle.load(bundle, device) for bundle in bundles])
    contract = contract_for(args)
    given = recorded.get("parameter.map", "") if args.map is None else args.map
    engine.observe(contract.offered, read_map(given, contract.names))
    return engine


def threads_of(recorded: Facts) -> int:
    """Return the recorded threads of torch; RecordingError for what no node has."""
    text = recorded.get("parameter.threads", "1")
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MOST_THREADS:
        allowed = f"1 to {MOST_THREADS}"
        raise RecordingError(complaint("threads of the policy, in the bag", text, allowed))
    return int(text)


def contract_for(args: argparse.Namespace) -> Contract:
    """Return the contract that the arguments name."""
    return load_contract(args.contract or resource("config", "contracts", "libero.yaml"))
