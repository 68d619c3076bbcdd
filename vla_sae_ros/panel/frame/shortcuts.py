"""The one list of keys: the window makes them work, F1 shows them, the docs repeat them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcut:
    """One key and what it does."""

    keys: str
    """As Qt writes them; alternatives after a comma."""
    words: str
    action: str = ""
    """Method that is called; empty where the table or the window handles the key itself."""
    view: str = ""
    """Title of the view whose method it is; empty for the window's own."""


SHORTCUTS = (
    Shortcut("Space", "hold: bypass every edit while held, to compare; tap: bypass on or off"),
    Shortcut("Esc", "release everything at once", "release_all"),
    Shortcut("Left, Right", "move the selected slider, with Shift five times as far"),
    Shortcut("Return", "type a number for the selected feature"),
    Shortcut("M", "choose what the edit of the selected feature does, and its unit"),
    Shortcut("Del", "release the selected feature"),
    Shortcut("P", "pin or unpin the selected feature"),
    Shortcut("Ctrl+Z", "undo the last edit", "undo"),
    Shortcut("Ctrl+Shift+Z, Ctrl+Y", "redo", "redo"),
    Shortcut("Ctrl+S", "save the edits as a preset", "save_preset"),
    Shortcut("Ctrl+O", "load a preset", "load_preset"),
    Shortcut("Ctrl+D", "compare the edits with a preset", "compare_preset"),
    Shortcut("Ctrl+F", "search", "focus_search"),
    Shortcut("Ctrl+L", "go to the table", "focus_table"),
    Shortcut("Ctrl+1", "show alive features only, or all", "filter_alive"),
    Shortcut("Ctrl+2", "show general features only, or all", "filter_general"),
    Shortcut("Ctrl+3", "show pinned features only, or all", "filter_pinned"),
    Shortcut("Ctrl+4", "show edited features only, or all", "filter_edited"),
    Shortcut(
        "F12, Ctrl+.",
        "STOP: the robot at once, or the episode in simulation",
        "stop_now",
        "Controls",
    ),
    Shortcut("F4", "take over from the policy, or hand back to it", "toggle_takeover"),
    Shortcut(
        "W, S, A, D, R, F",
        "taken over: the hand moves forward, back, left, right, up, down while the key is held",
    ),
    Shortcut("G", "taken over: close the gripper, or open it"),
    Shortcut("Ctrl+R", "run the episode of the form", "start", "Episode"),
    Shortcut("Ctrl+Shift+R", "start or stop recording", "toggle_recording", "Controls"),
    Shortcut("Ctrl+M", "write a remark into the bag", "write_remark", "Controls"),
    Shortcut("F6", "hide or show the views to the right", "toggle_right"),
    Shortcut("F7", "hide or show the views below", "toggle_bottom"),
    Shortcut("F8", "show the next view to the right", "next_right"),
    Shortcut("F9", "show the next view below", "next_bottom"),
    Shortcut("F1", "show these keys", "show_keys"),
)
