"""Labels and notes that people gave to features, in a folder of the user's own.

They are laid over a bundle's catalogue when it is served. A bundle may be an installed file that
the next build replaces, or a checkout that nobody wants to change unseen; this folder is neither.
One file per bundle, named by the bundle's content id, in the format of catalogue.json.
"""

from __future__ import annotations

import os
from pathlib import Path

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError


def notes_folder() -> Path:
    """Return the folder: $XDG_DATA_HOME/vla_sae_ros/notes, ~/.local/share/... by default."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "vla_sae_ros" / "notes"


def notes_file(bundle_id: str) -> Path:
    """Return the file of one bundle's notes; it need not exist."""
    return notes_folder() / f"{bundle_id}.json"


def notes_files() -> list[Path]:
    """Return the file of every bundle that has notes; the file's stem is the bundle's id."""
    return sorted(notes_folder().glob("*.json"))


def overlaid(catalogue: Catalogue, bundle_id: str) -> Catalogue:
    """Return a bundle's catalogue with the user's labels and notes.

    Raises ConfigurationError when the user's file cannot be read.
    """
    path = notes_file(bundle_id)
    if not path.exists():
        return catalogue
    for note in Catalogue.load(path).entries:
        entry = catalogue.get(note.feature) or FeatureEntry(note.feature)
        catalogue = catalogue.with_entry(entry.named_by_person(note.label, note.notes))
    return catalogue


def write_note(site: str, bundle_id: str, feature: int, label: str, notes: str) -> None:
    """Keep what a person wrote about a feature; an empty label leaves the old one.

    Raises ConfigurationError when the file cannot be read or written; it is as it was then.
    """
    path = notes_file(bundle_id)
    known = Catalogue.load(path) if path.exists() else Catalogue(site, [])
    entry = known.get(feature) or FeatureEntry(feature)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        known.with_entry(entry.named_by_person(label, notes)).save(path)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write {path}: {error.strerror}. Make the folder writable, or name another "
            "with the environment variable XDG_DATA_HOME."
        ) from error
