"""Other people's text is shown as text, wherever it stands."""

from __future__ import annotations

import ast
from pathlib import Path

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QApplication

import vla_sae_ros.panel
from vla_sae_ros.panel.frame.status_lines import link_text
from vla_sae_ros.panel.state.connection import Link, LinkState
from vla_sae_ros.panel.state.values import EventView, Example
from vla_sae_ros.panel.views.event_model import EventColumn, EventModel
from vla_sae_ros.panel.views.examples import _box
from vla_sae_ros.panel.widgets.elided import Elided
from vla_sae_ros.panel.widgets.plain_text import PlainLabel, plain_tip

HTML = 'no owner: <img src="any.png"> <b>x</b>'


def test_no_tooltip_is_taken_for_html(qapp: QApplication) -> None:
    line, label, model = Elided(), PlainLabel(HTML), EventModel()
    line.show_text(HTML)
    label.setToolTip(HTML)
    model.shown = [
        EventView(0.0, "refused", HTML, "expert.1", 3, float("nan"), float("nan"), HTML, 1)
    ]
    index = model.createIndex(0, EventColumn.REASON)
    tips = [
        line.toolTip(),
        label.toolTip(),
        model.data(index, int(Qt.ItemDataRole.ToolTipRole)),
        _box(Example(data=b"", caption=HTML)).toolTip(),
    ]
    assert not any(Qt.mightBeRichText(tip) for tip in tips)
    assert label.textFormat() == Qt.TextFormat.PlainText and label.text() == HTML


def test_a_plain_tip_reads_as_it_was_written() -> None:
    assert plain_tip("a < b & c") == "a <\N{WORD JOINER} b & c"
    assert plain_tip("plain") == "plain"


def test_no_label_of_the_panel_guesses_what_its_text_is() -> None:
    folder = Path(vla_sae_ros.panel.__file__).parent
    made = [
        path.name
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "QLabel"
    ]
    assert made == []


def test_a_policy_that_infers_nothing_is_not_said_to_send_messages() -> None:
    text = link_text(LinkState(Link.LIVE, 0.1), 0.0, "p")
    assert "no inference at present" in text and "0.0 feature" not in text
    assert "15.0 feature messages/s" in link_text(LinkState(Link.LIVE, 0.1), 15.0, "p")
