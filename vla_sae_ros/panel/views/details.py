"""The view of everything that is known about the selected feature, and what people write."""

from __future__ import annotations

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import (
    QFormLayout,
    QFrame,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import CatalogueView, FeatureName
from vla_sae_ros.panel.views.details_words import METRICS, metrics, source_words, test_words
from vla_sae_ros.panel.views.examples import Examples
from vla_sae_ros.panel.views.notes import Drafts, Writing
from vla_sae_ros.panel.views.notes_edit import NotesEdit
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import PlainLabel

_NOTHING = "Select a feature in the table to read about it."


class DetailsView(QScrollArea):
    """Label and notes are sent to the bundle when their editing ends; a refused text stays."""

    def __init__(self, context: Context) -> None:
        """Start without a feature."""
        super().__init__()
        self._commands = context.client.commands
        self._shown: CatalogueView | None = None
        self._selected: FeatureName | None = None
        self._name: FeatureName | None = None
        self._known = Writing("", "")
        self._drafts = Drafts()
        self.title, self.source, self.description, self.state = (PlainLabel() for _ in range(4))
        self.tests = PlainLabel()
        self.label, self.notes, self.examples = QLineEdit(), NotesEdit(), Examples()
        self.metrics: dict[str, QLabel] = {}
        self._build()
        self.label.textEdited.connect(lambda _text: self._typed())
        self.notes.textChanged.connect(self._typed)
        self.label.editingFinished.connect(self.save)
        self.notes.editing_finished.connect(self.save)

    def refresh(self, store: Store, now: float) -> None:
        """Show the selected feature; what is being typed stays."""
        if store.selected != self._selected or store.catalogue is not self._shown:
            self.save()
            self._selected, self._shown = store.selected, store.catalogue
            row = None if store.selected is None else store.columns.row_of(store.selected)
            self._body.setVisible(row is not None)
            if store.selected is None or row is None:
                self._name = None
                self.title.setText(_NOTHING)
            else:
                self._show(store.selected, store.catalogue, row)
        words = "" if self._name is None else self._drafts.state(self._name)
        if words != self.state.text():
            self.state.setText(words)
            self.state.setVisible(bool(words))

    @guarded()
    def save(self) -> None:
        """Ask the policy to keep what was written, unless it was asked already."""
        writing = None if self._name is None else self._drafts.to_send(self._name)
        if (
            self._name is not None
            and writing is not None
            and self._commands.annotate_feature(self._name, writing.label, writing.notes)
        ):
            self._drafts.sent(self._name, writing)

    @guarded()
    def _typed(self) -> None:
        if self._name is not None:
            self._drafts.write(self._name, self._writing(), self._known)

    def _writing(self) -> Writing:
        return Writing(self.label.text().strip(), self.notes.toPlainText().strip())

    def _show(self, name: FeatureName, catalogue: CatalogueView, row: int) -> None:
        other, self._name = name != self._name, None  # nobody types now
        self._known = Writing(catalogue.labels[row], catalogue.notes[row].strip())
        writing = self._drafts.text(name, self._known)
        if other or writing != self._writing():
            self.label.setText(writing.label)
            self.notes.setPlainText(writing.notes)
        self._name = name
        self.title.setText(f"{name[0]} #{name[1]}")
        self.source.setText(source_words(catalogue.label_sources[row], catalogue.tested_names[row]))
        self.description.setText(catalogue.descriptions[row] or "No description.")
        self.tests.setText(test_words(catalogue.tests[row]))
        for words, value in metrics(catalogue, row).items():
            self.metrics[words].setText(value)
        if other:
            self.examples.show_examples(catalogue.examples.get(row, ()))

    def _build(self) -> None:
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._body, whole = QWidget(), QWidget()
        title = self.title.font()
        title.setBold(True)
        self.title.setFont(title)
        for words in (self.title, self.source, self.description, self.tests, self.state):
            words.setWordWrap(True)
            words.setTextFormat(Qt.TextFormat.PlainText)
            words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        outer, inner = QVBoxLayout(whole), QVBoxLayout(self._body)
        inner.setContentsMargins(0, 0, 0, 0)
        self.label.setPlaceholderText("Name the feature")
        self.label.setAccessibleName("Label of the feature")
        written = (self.label, self.source, self.description, self.tests, self.notes, self.state)
        for part in written:
            inner.addWidget(part)
        inner.addLayout(self._make_facts())
        inner.addWidget(self.examples)
        outer.addWidget(self.title)
        outer.addWidget(self._body)
        outer.addStretch(1)
        self.state.hide()
        self._body.hide()
        self.setWidget(whole)

    def _make_facts(self) -> QFormLayout:
        facts = QFormLayout()
        for words, meaning in METRICS.items():
            title, value = PlainLabel(words), PlainLabel()
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            for part in (title, value):
                part.setToolTip(meaning)
            self.metrics[words] = value
            facts.addRow(title, value)
        return facts
