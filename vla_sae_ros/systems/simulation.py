"""Which nodes make a system, with which parameters and remappings: plain data, said once.

`vla-sae up` runs a description as supervised processes, a launch file as launch actions. Here: the
simulation, and what other systems have in common with it; robot_system.py has the robots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.namespace import checked_namespace
from vla_sae_ros.core.on_alarm import ON_ALARM, ON_ALARM_HELP
from vla_sae_ros.core.parameters import MAP_HELP, Parameter, Value
from vla_sae_ros.core.picture_record import (
    ALLOWED,
    QUALITIES,
    Quality,
    check_pictures,
    installed_record,
    read_picture_record,
)
from vla_sae_ros.resources import share_folder
from vla_sae_ros.systems.arguments import values_of
from vla_sae_ros.systems.pythons import POLICY_PYTHON, python_of_node

OnExit = Literal["shutdown", "restart", "ignore"]


LIBERO = "libero"
SERVING = "serving "
"""The policy's node logs it once it answers requests."""
WATCH = "watch and steer: vla-sae panel; Ctrl-C stops everything"

EXPORTED = "exported.json"
"""The file that makes a folder an exported policy (policy.onnx.names.DESCRIPTION)."""


@dataclass(frozen=True)
class NodeSpec:
    """One process with one node.

    `module` is what `python -m` runs; an installed package has the same as
    lib/vla_sae_ros/<executable>.
    `on_exit` says what the end of the process means for the system. A process that ends with status
    2 has refused its configuration: it is never restarted, starting again cannot mend it.
    `ready` is part of the line that it logs once it works; nobody waits for a node without one.
    """

    name: str
    executable: str
    module: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    on_exit: OnExit = "shutdown"
    ready: str = ""
    params_file: str = ""
    """A ROS parameter file; what it says counts over `parameters`."""
    environment: bool = False
    """It imports packages that a ROS installation does not have: PyTorch, lerobot, MuJoCo."""
    python: str = ""
    """Path of its own Python; empty: that of the other nodes."""


@dataclass(frozen=True)
class System:
    """Nodes that run together in one namespace ("" = the root namespace).

    `next_step` says what to do once all of them work.
    """

    name: str
    nodes: tuple[NodeSpec, ...]
    namespace: str = ""
    next_step: str = ""

    def with_parameters(self, node: str, **parameters: Value) -> System:
        """Return the system with further parameters of one of its nodes."""
        changed = tuple(
            replace(spec, parameters={**spec.parameters, **parameters})
            if spec.name == node
            else spec
            for spec in self.nodes
        )
        return replace(self, nodes=changed)


PARAMS_FILE = Parameter(
    "params_file", "", "ROS parameter file for the nodes; it takes precedence over the arguments"
)

MAP = Parameter("map", "", MAP_HELP)

COMPILE = Parameter(
    "compile",
    "never",
    "compile the policy with its taps for faster inference (minutes the "
    "first time); if_possible falls back to eager mode if compiling is not "
    "possible",
    choices=("never", "always", "if_possible"),
)

RTC = Parameter(
    "rtc",
    False,
    "real-time chunking: pull every chunk towards the rest of the one before; SmolVLA, pi0, pi0.5, "
    "GR00T",
)

MONITOR_ARGUMENTS = (
    Parameter("monitor", "", "folder of vla-sae monitor fit: score every inference, and alarm"),
    Parameter("on_alarm", "log", ON_ALARM_HELP, choices=ON_ALARM),
)

INJECTION_ARGUMENTS = (
    Parameter(
        "inject",
        "",
        "bag of a donor's episode, recorded with pictures: its residual stream is injected into "
        "every episode; empty = none",
    ),
    Parameter("inject_episode", "1", "donor's episode in that bag: id, or number from 1"),
    Parameter("inject_site", "", "site at which it is injected, e.g. backbone.1"),
    Parameter(
        "inject_tokens", (), "token groups that are replaced, e.g. camera; empty = all of the site"
    ),
)
"""Of a simulation only: no system of a robot has them."""

SIMULATION_ARGUMENTS = (
    Parameter(
        "env",
        LIBERO,
        "source of episodes: libero, or an environment of lerobot's with its settings, e.g. "
        "metaworld or so101:image_obs=true",
    ),
    Parameter(
        "suite",
        "",
        "LIBERO or LIBERO-PRO suite, or lerobot's setting `task`; empty = "
        "libero_object, or the environment's own",
    ),
    Parameter(
        "contract",
        "",
        "contract file: what the policy sees and how it acts; empty = the environment's own",
    ),
    Parameter("task", 0, "index of the task within the suite", minimum=0),
    Parameter("init_state", 0, "index of the initial state", minimum=0),
    Parameter("seed", 0, "seed of the simulation and of the policy's noise", minimum=0),
    Parameter(
        "clock",
        "lockstep",
        "lockstep: reproducible; realtime: at the control rate",
        choices=("lockstep", "realtime"),
    ),
    Parameter("policy", "", "folder of the policy; empty = the demonstration policy"),
    Parameter("bundles", (), "folders of SAE bundles; empty = every bundle beside the policy"),
    MAP,
    Parameter(
        "backend",
        "torch",
        "inference backend; onnx: a policy that `vla-sae export` wrote",
        choices=("torch", "onnx"),
    ),
    COMPILE,
    POLICY_PYTHON,
    RTC,
    Parameter("device", "cpu", "device of the policy, e.g. cpu or cuda:0"),
    Parameter("threads", 1, "threads the policy computes with on a CPU", minimum=1),
    Parameter("record", False, "record a bag from the start"),
    Parameter("images", False, "with record: also record the camera pictures"),
    Parameter(
        "image_compression",
        "none",
        "compression of recorded pictures: none = as sent, png = lossless, "
        "jpeg = smaller and lossy",
        choices=("none", "png", "jpeg"),
    ),
    Parameter("record_folder", "out/bags", "folder of the bags"),
    Parameter("panel", False, "open the panel"),
    Parameter("markers", False, "publish markers for RViz and Foxglove"),
    *MONITOR_ARGUMENTS,
    *INJECTION_ARGUMENTS,
    Parameter(
        "render_quality",
        "full",
        "render quality of the pictures; quick: for a policy that was trained on such pictures",
        choices=QUALITIES,
    ),
    Parameter(
        ALLOWED,
        False,
        "continue although the policy was trained on pictures of another render quality",
    ),
    Parameter(
        "step_timeout",
        20.0,
        "timeout of a control step or a picture of the simulator",
        unit="s",
        minimum=0.1,
        maximum=600,
    ),
    Parameter(
        "reset_timeout",
        120.0,
        "timeout of a reset of the simulator, including building the scene",
        unit="s",
        minimum=1,
        maximum=3600,
    ),
    Parameter("autorun", True, "run the episode at once; otherwise wait for a run_episode goal"),
    Parameter("namespace", "", "namespace of every node, e.g. left"),
    PARAMS_FILE,
)


def simulation_system(given: Mapping[str, object]) -> System:
    """Return the system that runs a policy in LIBERO; `given` overrides SIMULATION_ARGUMENTS.

    Values may be texts, as launch files and shells give them.

    Raises:
        ConfigurationError: an unknown argument, a value out of range, or a folder that is not what
            it should be.
    """
    values = values_of(SIMULATION_ARGUMENTS, given)
    policy = policy_folder(str(values["policy"]), str(values["backend"]))
    # What a parameter file says counts; the nodes look for themselves. Only LIBERO has a choice.
    if not values["params_file"] and values["env"] == LIBERO:
        quality: Quality = "quick" if values["render_quality"] == "quick" else "full"
        check_pictures(
            read_picture_record(policy),
            installed_record(quality),
            bool(values[ALLOWED]),
            f"Set the argument `render_quality`, or `{ALLOWED}` to true.",
        )
    answering = policy_spec(policy, bundle_folders(policy, values), values)
    nodes = with_params_file(
        [
            replace(
                answering,
                parameters={
                    **answering.parameters,
                    ALLOWED: values[ALLOWED],
                    **_injection_parameters(values),
                    **_contract_parameters(values, env_with_suite(values)),
                },
            ),
            _bridge_node(values),
            recorder_spec(values),
            *watching_specs(values),
        ],
        values,
    )
    suite = values["suite"] or ("libero_object" if values["env"] == LIBERO else "<suite>")
    run = f"vla-sae run --suite {suite} --task {values['task']}"
    next_step = "the first episode starts by itself" if values["autorun"] else f"run: {run}"
    return System("sim", tuple(nodes), namespace_of(values), f"{next_step}; {WATCH}")


def with_params_file(nodes: Sequence[NodeSpec], values: Mapping[str, Value]) -> list[NodeSpec]:
    """Return the nodes, each told of the parameter file; raises ConfigurationError without it."""
    if not values["params_file"]:
        return list(nodes)
    file = Path(str(values["params_file"])).expanduser().absolute()
    if not file.is_file():
        raise ConfigurationError(complaint("argument 'params_file'", str(file), "a file"))
    return [replace(node, params_file=str(file)) for node in nodes]


def watching_specs(values: Mapping[str, Value]) -> list[NodeSpec]:
    """Return the nodes that only watch, as far as they are asked for."""
    nodes = []
    if values["panel"]:
        nodes.append(NodeSpec("panel", "panel", "vla_sae_ros.panel.app", on_exit="ignore"))
    if values["markers"]:
        module = "vla_sae_ros.nodes.markers.markers_node"
        nodes.append(NodeSpec("markers", "markers_node", module, on_exit="ignore"))
    if values["monitor"]:
        nodes.append(_monitor_spec(values))
    return nodes


def pooled_for_monitor(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the policy node's parameter without which most scores are not known."""
    wanted = bool(values["monitor"]) and values["backend"] == "torch"
    return {"publish_pooled": True} if wanted else {}


def _monitor_spec(values: Mapping[str, Value]) -> NodeSpec:
    """Return the monitor node; raises ConfigurationError when the folder is none of a monitor."""
    folder = Path(str(values["monitor"])).expanduser().absolute()
    _folder_with(folder, "monitor.yaml", "monitor", "monitor")
    return NodeSpec(
        "monitor",
        "monitor_node",
        "vla_sae_ros.nodes.monitor.monitor_node",
        {"monitor": str(folder), "on_alarm": values["on_alarm"]},
        on_exit="restart",
        ready="watching",
        environment=True,
    )


def policy_spec(policy: Path, bundles: tuple[str, ...], values: Mapping[str, Value]) -> NodeSpec:
    """Return the policy node; raises ConfigurationError when its own Python cannot run it."""
    parameters: dict[str, Value] = {"policy": str(policy)}
    parameters |= {
        name: values[name] for name in ("backend", "compile", "rtc", "device", "threads")
    }
    if values["map"]:
        parameters["map"] = values["map"]
    parameters |= pooled_for_monitor(values)
    if bundles:  # rcl knows no type for an empty list
        parameters["bundles"] = bundles
    # Without its policy the bridge holds still, so there is time to start it again.
    module = "vla_sae_ros.nodes.policy.policy_node"
    return NodeSpec(
        "policy",
        "policy_node",
        module,
        parameters,
        on_exit="restart",
        ready=SERVING,
        environment=True,
        python=own_python(values, module),
    )


def own_python(values: Mapping[str, Value], module: str) -> str:
    """Return the policy node's own Python, empty without one; raises ConfigurationError."""
    given = str(values[POLICY_PYTHON.name])
    return python_of_node(given, module) if given else ""


def _bridge_node(values: Mapping[str, Value]) -> NodeSpec:
    task = ("suite", "task", "init_state", "seed", "clock", "autorun")
    others = ("step_timeout", "reset_timeout", "render_quality", ALLOWED)
    parameters = {name: values[name] for name in (*task, *others)}
    parameters |= _contract_parameters(values, str(values["env"]))
    return NodeSpec(
        "bridge",
        "sim_bridge_node",
        "vla_sae_ros.nodes.sim.sim_bridge_node",
        parameters,
        ready="offers run_episode",
        environment=True,
    )


def env_with_suite(values: Mapping[str, Value]) -> str:
    """Return the environment with its suite, in one text: its contract may depend on both."""
    env, suite = str(values["env"]), values["suite"]
    if env == LIBERO or not suite:
        return env
    return f"{env}{',' if ':' in env else ':'}task={suite}"


def _injection_parameters(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return what tells the policy node of a donor; raises ConfigurationError without its bag."""
    given = {each.name: values[each.name] for each in INJECTION_ARGUMENTS}
    if not values["inject"]:
        alone = [name for name in ("inject_site", "inject_tokens") if given[name]]
        if alone:
            raise ConfigurationError(
                complaint(f"argument '{alone[0]}'", given[alone[0]], "only beside `inject`, a bag")
            )
        return {}
    bag = Path(str(values["inject"])).expanduser().absolute()
    if not bag.exists():
        raise ConfigurationError(complaint("argument 'inject'", str(bag), "the folder of a bag"))
    if not values["inject_site"]:
        raise ConfigurationError(
            complaint("argument 'inject_site'", "", "a site of the policy, e.g. backbone.1")
        )
    return {name: value for name, value in given.items() if value} | {"inject": str(bag)}


def _contract_parameters(values: Mapping[str, Value], env: str) -> dict[str, Value]:
    """Return what tells a node whose contract counts, where that is not LIBERO's."""
    found: dict[str, Value] = {} if env == LIBERO else {"env": env}
    if values["contract"]:
        file = Path(str(values["contract"])).expanduser().absolute()
        if not file.is_file():
            raise ConfigurationError(complaint("argument 'contract'", str(file), "a file"))
        found["contract"] = str(file)
    return found


def recorder_spec(values: Mapping[str, Value]) -> NodeSpec:
    """Return the recorder."""
    parameters: dict[str, Value] = {
        "output_folder": str(Path(str(values["record_folder"])).absolute()),
        "record_on_start": values["record"],
        "record_images": values["images"],
        "image_compression": values["image_compression"],
    }
    module = "vla_sae_ros.nodes.recorder.recorder_node"
    return NodeSpec(
        "recorder",
        "recorder_node",
        module,
        parameters,
        on_exit="restart",
        ready="offers record/start",
    )


def namespace_of(values: Mapping[str, Value]) -> str:
    """Return the system's namespace; raises ConfigurationError when it is none."""
    return checked_namespace(str(values["namespace"]), "argument 'namespace'")


def policy_folder(given: str, backend: str) -> Path:
    """Return the policy's folder, the demonstration's without one; raises ConfigurationError."""
    folder = Path(given).expanduser().absolute() if given else share_folder() / "models/demo/policy"
    if (folder / EXPORTED).is_file():
        if backend != "onnx":
            raise ConfigurationError(
                complaint(
                    "backend of an exported policy",
                    backend,
                    "onnx",
                    f"{folder} was written by vla-sae export: set the argument `backend` to onnx.",
                )
            )
        return folder
    return _folder_with(folder, "config.json", "policy", "policy")


def bundle_folders(policy: Path, values: Mapping[str, Value]) -> tuple[str, ...]:
    """Return the bundles named, or those beside the policy; raises ConfigurationError."""
    given = values["bundles"] if isinstance(values["bundles"], tuple) else (str(values["bundles"]),)
    beside = sorted(path.parent for path in (policy.parent / "sae").glob("*/bundle.yaml"))
    folders = [Path(text).expanduser().absolute() for text in given] or beside
    return tuple(
        str(_folder_with(folder, "bundle.yaml", "SAE bundle", "bundles")) for folder in folders
    )


def _folder_with(folder: Path, file: str, what: str, argument: str) -> Path:
    if not (folder / file).is_file():
        raise ConfigurationError(
            complaint(
                f"not a {what} folder",
                str(folder),
                f"a folder that contains {file}",
                f"Name another in the argument `{argument}`.",
            )
        )
    return folder
