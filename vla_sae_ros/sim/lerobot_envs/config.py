"""From the text `--env` takes to lerobot's own configuration of an environment."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import draccus
import yaml
from lerobot.envs.configs import EnvConfig
from lerobot.utils.import_utils import register_third_party_plugins

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.lerobot_envs.installing import HOW, how_to_install
from vla_sae_ros.sim.quiet import choose_gl_backend


@dataclass(frozen=True)
class EnvName:
    """An environment as `--env` names it: "metaworld", or "so101:image_obs=true,fps=10"."""

    kind: str
    """lerobot's name of the configuration."""
    settings: tuple[tuple[str, str], ...] = ()
    """Fields of the configuration and their values, as texts; `task` is not among them."""
    suite: str = ""
    """lerobot's `task`: a task, a group of tasks or a suite; empty: the configuration's own."""

    @property
    def text(self) -> str:
        """Return what names the environment apart from its suite."""
        settings = ",".join(f"{key}={value}" for key, value in self.settings)
        return f"{self.kind}:{settings}" if settings else self.kind

    def of_suite(self, suite: str) -> EnvName:
        """Return the same environment with another suite; empty: the same."""
        return replace(self, suite=suite or self.suite)


def parse_name(text: str) -> EnvName:
    """Read "kind" or "kind:key=value,key=value"; a part without "=" belongs to the value before.

    Raises:
        ConfigurationError: neither.
    """
    kind, _, rest = text.partition(":")
    settings: dict[str, str] = {}
    last = ""
    for part in rest.split(",") if rest else ():
        key, equals, value = part.partition("=")
        if not equals and last:
            settings[last] += f",{part}"
        elif not equals or not key.strip():
            raise ConfigurationError(complaint("--env", text, "<name> or <name>:<key>=<value>,..."))
        else:
            last = key.strip()
            settings[last] = value
    suite = settings.pop("task", "")
    return EnvName(kind.strip(), tuple(settings.items()), suite)


@cache
def known_kinds() -> dict[str, type[EnvConfig]]:
    """Return every configuration that lerobot and its installed plugins have, by name."""
    choose_gl_backend()  # a plugin may import MuJoCo
    register_third_party_plugins()
    return {kind: cls for kind, cls in EnvConfig.get_known_choices().items() if kind != "libero"}


def config_of(name: EnvName) -> EnvConfig:
    """Return lerobot's configuration with the settings and the suite of a name.

    Raises:
        ConfigurationError: an environment or a setting that is not known, or a value that does not
            fit it.
    """
    kinds = known_kinds()
    if name.kind not in kinds:
        install = f"Install it: {how_to_install(name.kind)}" if name.kind in HOW else ""
        raise ConfigurationError(
            complaint("Unknown environment", name.kind, ", ".join(["libero", *sorted(kinds)]))
            + f" {install or 'Others are plugins of lerobot: pip install lerobot-env-<name>'}."
        )
    fields = {field.name: field for field in dataclasses.fields(kinds[name.kind])}
    settings = dict(name.settings) | ({"task": name.suite} if name.suite else {})
    values = {}
    for key, text in settings.items():
        if key not in fields:
            allowed = ", ".join(sorted(fields))
            raise ConfigurationError(complaint(f"Unknown setting of {name.kind}", key, allowed))
        values[key] = text if key == "task" else _value(name, fields[key], text)
    try:
        return kinds[name.kind](**values)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"--env {name.text} is refused by lerobot: {error}") from error


def _value(name: EnvName, field: dataclasses.Field, text: str) -> Any:
    known = typing.get_type_hints(known_kinds()[name.kind])[field.name]
    try:
        value = yaml.safe_load(text)
        return draccus.decode(known, text if known in (str, str | None) else value)
    except (draccus.utils.DecodingError, yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(
            complaint(f"{field.name} of {name.kind}", text, f"{known}")
        ) from error


def not_installed(name: EnvName, error: ImportError) -> ConfigurationError:
    """Return what to say where something that an environment imports is missing."""
    return ConfigurationError(
        f"The environment {name.kind} is not installed ({error}). Install it: "
        f"{how_to_install(name.kind)}."
    )


@contextlib.contextmanager
def told_what_is_missing(name: EnvName) -> Iterator[None]:
    """Turn what lerobot raises while it makes an environment into words for the user.

    lerobot prints what it makes; that is kept off the standard output, which is the command's.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ImportError as error:
        raise not_installed(name, error) from error
    except Exception as error:  # whatever a benchmark raises about its task or its files
        raise ConfigurationError(
            f"lerobot does not make the environment {name.text} with the suite "
            f"{name.suite or config_of(name).task!r}: {type(error).__name__}: {error}. Name "
            "another one with --suite (lerobot's `task`)."
        ) from error
