"""What a monitor's alarm does: words for parameters and arguments."""

from __future__ import annotations

ON_ALARM = ("log", "mark", "bypass", "hold", "stop")
"""In the order of MonitorState's constants; each but `log` marks the bag, too. None of them can
enable or steer more."""

ON_ALARM_HELP = (
    "what the first alarm of an episode does: log; mark: a remark in the bag; bypass: mark, and "
    "steering is bypassed; hold: mark, and the robot's motion is disabled; stop: mark, and the "
    "robot is stopped; in a simulation the last two cancel the episode"
)
"""Of the parameter `on_alarm`, which the node and systems have."""
