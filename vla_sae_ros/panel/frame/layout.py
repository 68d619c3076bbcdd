"""What of the panel is remembered, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vla_sae_ros.panel.frame.window import PanelWidget


def save(panel: PanelWidget) -> dict[str, Any]:
    """Return layout, search, filters, pins and what new edits are."""
    tools = panel.tools
    return {
        "areas": panel.areas.save(), "table": panel.table.save(), "search": tools.search.text(),
        "filters": [which.value for which in panel.model.filters],
        "pinned": [list(name) for name in panel.store.pinned],
        "mode": tools.mode.currentIndex(), "ramp": tools.ramp.value(),
        "lease": tools.lease.value(), "presets": panel.presets.folder,
    }


def restore(panel: PanelWidget, layout: dict[str, Any]) -> None:
    """Take what `save` returned; what is missing stays as it is."""
    tools = panel.tools
    panel.areas.restore(layout.get("areas", {}))
    panel.table.restore(layout.get("table", {}))
    tools.search.setText(layout.get("search", ""))
    for which, button in tools.filters.items():
        button.setChecked(which.value in layout.get("filters", ()))
    panel.store.pinned = [(str(site), int(feature)) for site, feature in layout.get("pinned", ())]
    tools.mode.setCurrentIndex(int(layout.get("mode", 0)))
    tools.ramp.setValue(float(layout.get("ramp", tools.ramp.value())))
    tools.lease.setValue(float(layout.get("lease", tools.lease.value())))
    panel.presets.folder = layout.get("presets", panel.presets.folder)
