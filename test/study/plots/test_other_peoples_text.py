"""Labels and instructions are drawn as they are, not read as formulas or HTML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.study.autoencoders.training_picture import write_training_picture
from vla_sae_ros.study.plots.interactive import write_traces_page
from vla_sae_ros.study.plots.paired_effect import paired_effect
from vla_sae_ros.study.plots.paired_page import write_paired_page
from vla_sae_ros.study.plots.traces_plot import write_traces_plot

ODD = r"<img src=x> $\frac{"


def test_a_label_that_is_no_formula_and_no_html_is_drawn(
    synthetic_bag: Path, tmp_path: Path
) -> None:
    bag = read_bag(synthetic_bag, pictures=False)
    trace = replace(bag.episodes[1], instruction=ODD)
    catalogues = {"backbone.1": Catalogue("backbone.1", [FeatureEntry(7, ODD, observed_max=2.0)])}
    features = [("backbone.1", 7)]
    write_traces_plot(tmp_path / "traces.png", trace, catalogues, features)
    write_traces_page(tmp_path / "traces.html", trace, catalogues, features)
    page = (tmp_path / "traces.html").read_text(encoding="utf-8")
    assert "<img src=x>" not in page and r"\u003cimg src=x" not in page
    assert "&lt;img src=x" in page or r"\u0026lt;img src=x" in page


def test_names_of_bags_and_instructions_of_a_pair_are_no_html(
    synthetic_bag: Path, tmp_path: Path
) -> None:
    bag = read_bag(synthetic_bag, pictures=False)
    plain, steered = (replace(each, instruction=ODD) for each in bag.episodes)
    effect = paired_effect(plain, steered)
    write_paired_page(tmp_path / "pair.html", effect, (ODD, "b"))
    page = (tmp_path / "pair.html").read_text(encoding="utf-8")
    assert "<img src=x>" not in page and r"\u003cimg src=x" not in page


def test_tasks_of_a_training_are_no_formulas(tmp_path: Path) -> None:
    curve = [{"step": step, "fvu": 0.5, "l0": 2.0} for step in (1, 2)]
    density = np.array([0.1, 0.0, 0.5])
    write_training_picture(tmp_path / "x.png", ODD, curve, density, 0.4, {ODD: 0.3, "b": 0.4})
    assert (tmp_path / "x.png").stat().st_size > 1000
