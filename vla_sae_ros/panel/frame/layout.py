"""What of the panel is remembered, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vla_sae_ros.panel.editing.preset_files import PresetFiles
from vla_sae_ros.panel.frame.areas import Areas
from vla_sae_ros.panel.frame.tools import Tools
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.table.feature_table import FeatureTable


@dataclass(frozen=True)
class Layout:
    """The parts of a panel that remember something."""

    areas: Areas
    table: FeatureTable
    tools: Tools
    store: Store
    presets: PresetFiles

    def save(self) -> dict[str, Any]:
        """Return layout, search, filters, pins and what new edits are."""
        tools = self.tools
        return {
            "areas": self.areas.save(),
            "table": self.table.save(),
            "search": tools.search.text(),
            "filters": [
                which.value for which, button in tools.filters.items() if button.isChecked()
            ],
            "pinned": [list(name) for name in self.store.pinned],
            "mode": tools.mode.currentIndex(),
            "ramp": tools.ramp.value(),
            "lease": tools.lease.value(),
            "presets": self.presets.folder,
        }

    def restore(self, layout: dict[str, Any]) -> None:
        """Take what `save` returned; what is missing stays as it is."""
        tools = self.tools
        self.areas.restore(layout.get("areas", {}))
        self.table.restore(layout.get("table", {}))
        tools.search.setText(layout.get("search", ""))
        for which, button in tools.filters.items():
            button.setChecked(which.value in layout.get("filters", ()))
        pinned = layout.get("pinned", ())
        self.store.pinned = [(str(site), int(feature)) for site, feature in pinned]
        tools.mode.setCurrentIndex(int(layout.get("mode", 0)))
        tools.ramp.setValue(float(layout.get("ramp", tools.ramp.value())))
        tools.lease.setValue(float(layout.get("lease", tools.lease.value())))
        self.presets.folder = layout.get("presets", self.presets.folder)
