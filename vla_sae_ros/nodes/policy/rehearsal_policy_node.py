"""The policy node with a tiny random policy of DROID's shape, made at its first start."""

from __future__ import annotations

import sys
from pathlib import Path

from vla_sae_ros.nodes.base.running import exit_at_once
from vla_sae_ros.nodes.policy import policy_node
from vla_sae_ros.policy.tiny.rehearsal import ensure_droid_policy

FOLDER = Path("out/rehearsal/droid")


def main(args: list[str] | None = None) -> int:
    """Make the policy where it is missing, then run the policy node; return the exit status."""
    policy, bundle = ensure_droid_policy(FOLDER.absolute())
    given = list(sys.argv if args is None else args)
    own = ["--ros-args", "-p", f"policy:={policy}", "-p", f"bundles:=['{bundle}']"]
    return policy_node.main([*given, *own])


if __name__ == "__main__":
    exit_at_once(main())
