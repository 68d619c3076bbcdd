"""What a recording has come to, in words. Pure functions."""

from __future__ import annotations

from vla_sae_ros.panel.state.values import RecordingView

NO_RECORDER = "No recorder is running: vla-sae up starts one."


def recording_text(recording: RecordingView | None, lost: bool) -> str:
    """Return one line; `lost` = a recording is not reported any more."""
    if recording is None:
        return NO_RECORDER
    name = recording.uri.rstrip("/").rsplit("/", 1)[-1]
    if lost:
        return f"The recorder is silent: {name or 'its recording'} may have ended"
    facts = (
        f"{clock(recording.elapsed)}   {size(recording.size)}   "
        f"{recording.messages} messages   {name}"
    )
    if recording.recording:
        return facts
    if not recording.uri:
        return "Not recording" + (f": {recording.detail}" if recording.detail else "")
    detail = f"   {recording.detail}" if recording.detail else ""
    return f"{recording.status.capitalize()}: {facts}{detail}"


def dropped_text(recording: RecordingView | None) -> str:
    """Return the count of messages that are missing in the bag; empty when none is."""
    return f"{recording.dropped} DROPPED" if recording is not None and recording.dropped else ""


def clock(seconds: float) -> str:
    """Return minutes and seconds, hours when there are any."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def size(count: int) -> str:
    """Return bytes in the unit that reads best."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
