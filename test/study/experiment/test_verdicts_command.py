"""`vla-sae verdicts`: a study's findings in a bundle's catalogue, and in what shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_study import Plan, Planted, write_planted_study
from toy_setup import toy_bundle

from vla_sae_ros import cli
from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.sae.bundle import SaeBundle
from vla_sae_ros.study.experiment.records.table import read_table, write_table

UP, LATE, WRONG = 80, 7, 9
FEATURES = {
    UP: Planted("end effector high", higher=0.06),
    LATE: Planted("late"),
    WRONG: Planted("end effector high", higher=-0.06),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study whose truth is known, of the toy policy's SAE."""
    made = tmp_path_factory.mktemp("study")
    write_planted_study(made, Plan(FEATURES, (0.25, 0.5), tasks=2, inits=6, random_rows=20))
    own = toy_bundle().bundle_id
    write_table(made, [replace(row, bundle_id=own) for row in read_table(made)])
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    toy_bundle().save(tmp_path / "sae")
    return tmp_path / "sae"


def test_verdicts_lie_beside_the_names_in_the_catalogue(study: Path, bundle: Path) -> None:
    before = Catalogue.load(bundle / CATALOGUE_FILE)
    assert cli.main(["verdicts", str(study), "--into", str(bundle)]) == 0
    after = SaeBundle.load(bundle)
    found = {entry.feature: entry.tests for entry in after.catalogue.entries if entry.tests}
    assert {feature: tests[0].outcome for feature, tests in found.items()} == {
        UP: "as named",
        LATE: "not shown",
        WRONG: "opposite",
    }
    (test,) = found[UP]
    assert test.label == "end effector high" and test.protocol == "P2"
    assert "add +0.25" in test.words, "the mildest dose that counts"
    assert "n = 12" in test.words and "20 random rows reach" in test.words
    rows = [row for row in read_table(study) if row.success]
    plain = {(row.task, row.init_state, row.noise_seed): row for row in rows if row.arm == "none"}
    pairs = [
        (plain[key].steps, row.steps)
        for row in rows
        if row.features == (UP,) and row.strength == 0.25 and row.protocol == "P2"
        if (key := (row.task, row.init_state, row.noise_seed)) in plain
    ]
    one, other = (round(float(np.median(steps))) for steps in zip(*pairs, strict=True))
    assert f"of 12 plain, {len(pairs)} steered, in {one} and {other} steps" in test.words
    rest = [replace(entry, tests=()) for entry in after.catalogue.entries]
    assert Catalogue(before.site, rest) == before, "nothing else changes"
    assert after.bundle_id == toy_bundle().bundle_id


def test_the_same_study_again_replaces_its_verdicts(study: Path, bundle: Path) -> None:
    for _ in range(2):
        assert cli.main(["verdicts", str(study), "--into", str(bundle)]) == 0
    (test,) = next(e.tests for e in Catalogue.load(bundle / CATALOGUE_FILE).entries if e.tests)
    assert test.study == "planted"


def test_another_bundle_is_refused_and_stays_as_it_was(
    study: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sae = toy_bundle()
    other = tmp_path / "other"
    SaeBundle(sae.sae, replace(sae.card, site="expert.9"), Catalogue("expert.9", [])).save(other)
    text = (bundle / CATALOGUE_FILE).read_text()
    assert cli.main(["verdicts", str(study), "--into", str(bundle), str(other)]) != 0
    assert "steered no feature of bundle" in capsys.readouterr().err
    assert (bundle / CATALOGUE_FILE).read_text() == text, "all or none"


def test_without_a_bundle_the_verdicts_are_only_said(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verdicts", str(study)]) == 0
    assert "does the opposite of its name" in capsys.readouterr().out


def test_a_bundle_says_which_of_its_features_were_tested(
    study: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verdicts", str(bundle)]) == 0
    assert "No feature was tested" in capsys.readouterr().out
    cli.main(["verdicts", str(study), "--into", str(bundle)])
    capsys.readouterr()
    assert cli.main(["verdicts", str(bundle)]) == 0
    first, *more = capsys.readouterr().out.splitlines()
    assert first.startswith(f"  #{LATE} planted, not shown") and len(more) == 2
    assert cli.main(["verdicts", str(bundle), "--into", str(bundle)]) != 0
    assert "a study's folder for --into" in capsys.readouterr().err
