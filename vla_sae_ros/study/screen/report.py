"""What a screen found: a table for people, one for tools, and the beginning of a study."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.markup import escape
from rich.table import Table

from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.study.experiment.measure.random_bar import random_bar
from vla_sae_ros.study.screen.effects import ScreenEffect
from vla_sae_ros.study.screen.screening import Checked, SiteScreen

TABLE, FACTS = "screen.csv", "screen.json"
_COLUMNS = ("site", "feature", "label", "effect", "standard_error", "beyond_random")


def ranked(screen: SiteScreen) -> list[int]:
    """Return the features whose row is not 0, the strongest effect of either sign first."""
    alive = np.flatnonzero(np.isfinite(screen.effect))
    return alive[np.argsort(-np.abs(screen.effect[alive]), kind="stable")].tolist()


def table(screen: SiteScreen, effect: ScreenEffect, top: int) -> Table:
    """Return the strongest features as a table."""
    site = screen.bundle.card.site
    made = Table(title=f"{site}: {effect.meaning}, per 1 x mean residual norm")
    made.add_column("#", justify="right")
    made.add_column("label")
    made.add_column("effect", justify="right")
    made.add_column("beyond 95 % of random rows")
    bar = random_bar(screen.random)
    for feature in ranked(screen)[:top]:
        found = f"{screen.effect[feature]:+.3f}"
        if np.isfinite(screen.error[feature]):
            found += f" ± {screen.error[feature]:.3f}"
        passed = "yes" if bar.passed(float(screen.effect[feature])) else "no"
        made.add_row(str(feature), escape(_label(screen, feature)), found, passed)
    return made


def words(screen: SiteScreen, check: Checked | None) -> list[str]:
    """Say how the features stand against random rows, and how edits agree with the gradient."""
    bar = random_bar(screen.random)
    alive = screen.effect[np.isfinite(screen.effect)]
    beyond = sum(bar.passed(float(one)) for one in alive)
    lines = [
        f"{screen.bundle.card.site}: {beyond} of {len(alive)} rows lie beyond {bar.height:.3f}, "
        f"which 95 % of {bar.rows} random directions of the same length stay below "
        f"(median of their sizes {np.median(np.abs(screen.random)):.3f})."
    ]
    if not np.isfinite(screen.error).any():
        lines.append(
            "  No standard errors: all observations are of one episode. Keep more episodes."
        )
    if check is not None:
        lines.append(
            f"  {len(check.features)} features x {check.edit.shape[1]} observations edited by "
            f"{check.dose:g} x mean residual norm: with the gradient r "
            f"{check.mean_correlation:.2f} over the features' means, {check.correlation:.2f} over "
            "single observations; "
            f"{check.same_sign:.0%} of the means have the same sign."
        )
    return lines


def write_screen(
    folder: Path,
    effect: ScreenEffect,
    screens: Sequence[SiteScreen],
    checks: Sequence[Checked | None],
    facts: dict[str, Any],
) -> None:
    """Write the table of all features and what it stands on."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for screen in screens:
            bar = random_bar(screen.random)
            for feature in ranked(screen):
                found = float(screen.effect[feature])
                error = f"{screen.error[feature]:.6g}"
                place = (screen.bundle.card.site, feature, _label(screen, feature))
                writer.writerow([*place, f"{found:.6g}", error, int(bar.passed(found))])
    content = {
        "effect": effect.name,
        "meaning": effect.meaning,
        "unit": "action units per 1 x mean residual norm",
        **facts,
        "sites": [_facts(*pair) for pair in zip(screens, checks, strict=True)],
    }
    write_whole(folder / FACTS, (json.dumps(content, indent=1) + "\n").encode())


def write_study(
    path: Path,
    effect: ScreenEffect,
    screens: Sequence[SiteScreen],
    top: int,
    dose: float,
    suites: Sequence[str],
) -> None:
    """Write a study file that steers the strongest features in closed loop."""
    study = {
        "name": "screened_" + "_".join(effect.name.split()),
        "protocols": ["P2"],
        "features": [
            {"site": one.bundle.card.site, "ids": sorted(ranked(one)[:top])} for one in screens
        ],
        "changes": [{"mode": "add", "unit": "residual_norm", "strengths": [-dose, dose]}],
        "controls": {"rows": 3, "gaussian": 3, "alive": 0},
        "arms": ["none", "feature", "random_row", "gaussian"],
        "places": [{"suite": suite, "tasks": "0", "rollouts": 10} for suite in suites],
    }
    if any(one.bundle.card.kind == "directions" for one in screens):
        study["arms"] = ["none", "feature", "gaussian"]  # a few directions have no random rows
        study["controls"] = {"rows": 0, "gaussian": 3, "alive": 0}
    write_whole(path, yaml.safe_dump(study, sort_keys=False).encode())


def _facts(screen: SiteScreen, check: Checked | None) -> dict[str, Any]:
    bar = random_bar(screen.random)
    found: dict[str, Any] = {
        "site": screen.bundle.card.site,
        "bundle_id": screen.bundle.bundle_id,
        "random_rows": bar.rows,
        "random_95": bar.height,
        "random_quantiles": {
            f"{share:g}": float(np.quantile(screen.random, share))
            for share in (0.025, 0.25, 0.5, 0.75, 0.975)
        },
    }
    if check is not None:
        found["checked"] = {
            "features": list(check.features),
            "dose": check.dose,
            "observations": check.edit.shape[1],
            "correlation": _known(check.correlation),
            "mean_correlation": _known(check.mean_correlation),
            "same_sign": check.same_sign,
            "by_gradient": check.gradient.mean(1).tolist(),
            "by_edit": check.edit.mean(1).tolist(),
        }
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _label(screen: SiteScreen, feature: int) -> str:
    entry = screen.bundle.catalogue.get(feature)
    return entry.label if entry else ""
