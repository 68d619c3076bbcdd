"""`vla-sae foxglove`: show a running system in Foxglove, without foxglove_bridge."""

from __future__ import annotations

import argparse
import threading

from vla_sae_ros.bags.pictures import HEATMAP
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.environment import check_domain

MARKERS = "markers"
NOT_SHOWN = ("bridge/heartbeat", "steering/heartbeat", "description")
"""What nodes tell each other: signs of life, and what they consist of."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to serve, and which system."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0: every computer of the network can look",
    )
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--namespace", default="", help="of the system, e.g. /left")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return 0."""
    try:
        from vla_sae_ros.live.foxglove_server import FoxgloveServer
    except ImportError as error:
        raise ConfigurationError(
            f"Foxglove's SDK is not installed ({error}). "
            "Install it: pip install 'foxglove-sdk>=0.30,<0.31'."
        ) from error
    from vla_sae_ros.live.listener import Listener
    from vla_sae_ros.nodes.recorder.topics import CONTRACT_TOPICS

    check_domain()
    topics = [each.name for each in CONTRACT_TOPICS if each.name not in NOT_SHOWN]
    server = FoxgloveServer(args.host, args.port)
    listener = Listener("foxglove", server, (*topics, HEATMAP, MARKERS), args.namespace)
    print(
        f"serving at {server.url} until Ctrl-C; in Foxglove: Open connection, "
        "Foxglove WebSocket. The layout: config/layouts/foxglove.json",
        flush=True,
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
        server.close()
    return 0
