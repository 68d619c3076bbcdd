"""Messages to the panel's values. Runs on the ROS thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image

from vla_sae_ros.core.catalogue import confirmed_name, said_test, telling_test
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import ObservationError, complaint
from vla_sae_ros.core.on_alarm import ON_ALARM
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.core.steering import EventKind, StateView, to_view
from vla_sae_ros.msg import (
    EpisodeState,
    FeatureActivations,
    FeatureCatalogue,
    FeatureInfo,
    FeatureTest,
    InstructionChange,
    MonitorState,
    RecordingState,
    RobotState,
    SteeringEvent,
    SteeringState,
    TakeoverState,
)
from vla_sae_ros.panel.state.monitors import MonitorView
from vla_sae_ros.panel.state.values import (
    TOLD,
    Activations,
    CatalogueView,
    EpisodeView,
    EventView,
    Example,
    FloatArray,
    Picture,
    RecordingView,
    RobotView,
    Site,
    TakeoverView,
)
from vla_sae_ros.wire.conversions import NANOSECONDS, to_ns

_RECORDING = {
    RecordingState.IDLE: "idle",
    RecordingState.RECORDING: "recording",
    RecordingState.CLOSED: "closed",
    RecordingState.FAILED: "FAILED",
}
_ROBOT = {
    RobotState.OFFLINE: "OFFLINE",
    RobotState.DISABLED: "disabled",
    RobotState.ENABLED: "ENABLED",
    RobotState.STOPPED: "STOPPED",
}
_CHANNELS = {
    "rgb8": (3, [0, 1, 2]),
    "bgr8": (3, [2, 1, 0]),
    "rgba8": (4, [0, 1, 2]),
    "bgra8": (4, [2, 1, 0]),
    "mono8": (1, [0, 0, 0]),
}
_LONGEST_TEXT = 2000
_MOST_FEATURES = 2**22
"""Of all sites; a table of more would fill the memory and end the panel."""


def catalogue_view(message: FeatureCatalogue) -> CatalogueView:
    """Return rows for all features of all sites; entries of unlisted sites are counted as stray.

    Raises ObservationError for more features than can be shown.
    """
    features = sum(message.dictionary_sizes)
    if features > _MOST_FEATURES:
        raise ObservationError(
            complaint("features of a catalogue", features, f"up to {_MOST_FEATURES}")
        )
    sites = tuple(
        Site(name, int(size), bool(steerable), one_line(kind))
        for name, size, steerable, kind in zip(
            message.sites,
            message.dictionary_sizes,
            message.can_steer,
            message.kinds or ["sae"] * len(message.sites),  # older policy nodes do not tell
            strict=True,
        )
    )
    rows = _Rows(sites, message.features)
    return CatalogueView(
        policy_id=one_line(message.policy_id),
        bundle_ids=tuple(message.bundle_ids),
        sites=sites,
        labels=rows.texts(lambda info: one_line(info.label)),
        classes=rows.texts(lambda info: one_line(info.feature_class)),
        descriptions=rows.texts(lambda info: info.description[:_LONGEST_TEXT]),
        label_sources=rows.texts(lambda info: one_line(info.label_source)),
        tests=rows.texts(lambda info: "\n".join(map(_test_words, info.tests))),
        outcomes=rows.texts(_outcome),
        tested_names=rows.texts(lambda info: one_line(confirmed_name(info.tests))),
        notes=rows.texts(lambda info: info.notes[:_LONGEST_TEXT]),
        listed=rows.listed,
        observed_max=np.maximum(rows.numbers("observed_max", 0.0), 0.0),
        coverage=rows.numbers("coverage"),
        density=rows.numbers("density"),
        onset_count=rows.numbers("onset_count"),
        relative_run_length=rows.numbers("relative_run_length"),
        general_probability=rows.numbers("general_probability"),
        examples={row: _examples(info) for row, info in rows.infos.items() if info.examples},
        stray=len(message.features) - len(rows.infos),
    )


def _outcome(info: FeatureInfo) -> str:
    test = telling_test(info.tests)
    return one_line(test.outcome) if test else ""


class _Rows:
    """The entries of a catalogue by row, as columns over all rows."""

    def __init__(self, sites: Sequence[Site], features: Sequence[FeatureInfo]) -> None:
        sizes = {site.name: site.dictionary_size for site in sites}
        first = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
        self.infos = {
            first[info.site] + info.feature: info
            for info in features
            if info.feature < sizes.get(info.site, 0)
        }
        self._size = sum(sizes.values())
        self._rows = np.fromiter(self.infos, np.int64, len(self.infos))

    @property
    def listed(self) -> npt.NDArray[np.bool_]:
        mask: npt.NDArray[np.bool_] = np.zeros(self._size, np.bool_)
        mask[self._rows] = True
        return mask

    def texts(self, field: Callable[[FeatureInfo], str]) -> tuple[str, ...]:
        column = [""] * self._size
        for row, info in self.infos.items():
            column[row] = field(info)
        return tuple(column)

    def numbers(self, name: str, unknown: float = np.nan) -> FloatArray:
        column = np.full(self._size, unknown, np.float32)
        column[self._rows] = [getattr(info, name) for info in self.infos.values()]
        column[~np.isfinite(column)] = unknown
        return column


def activations(message: FeatureActivations) -> Activations:
    """Return one inference's active features of one site."""
    index = np.frombuffer(message.index, np.uint32)
    natural = np.frombuffer(message.natural, np.float32)
    applied = np.frombuffer(message.applied, np.float32)
    if not len(index) == len(natural) == len(applied):
        raise ObservationError(
            complaint(
                "lengths of index, natural and applied",
                (len(index), len(natural), len(applied)),
                "three equal ones",
            )
        )
    return Activations(
        site=message.site,
        episode_id=message.episode_id,
        time=seconds(message.header.stamp),
        inference=message.inference,
        step=message.observation_step,
        revision=message.steering_revision,
        index=index,
        natural=np.nan_to_num(natural),
        applied=np.nan_to_num(applied),
        edit_norm_ratio=message.edit_norm_ratio,
        capped=message.capped,
        bypassed=message.bypassed,
        inference_ms=message.inference_ms,
        fvu=message.fvu,
        policy_start_ns=message.policy_start,
    )


def steering_view(message: SteeringState) -> StateView:
    """Return the steering state, its owners' names as they can be shown."""
    view = to_view(message)
    edits = tuple(replace(edit, owner=one_line(edit.owner)) for edit in view.edits)
    return replace(view, edits=edits)


def event_view(message: SteeringEvent, received: float) -> EventView:
    """Return one line of the audit trail, heard at this wall time [s since the epoch]."""
    kinds = {int(kind): kind.name.lower().replace("_", " ") for kind in EventKind}
    return EventView(
        time=seconds(message.header.stamp),
        kind=kinds.get(message.kind, f"kind {message.kind}"),
        owner=one_line(message.owner),
        site=message.site,
        feature=message.feature,
        from_value=message.from_value,
        to_value=message.to_value,
        reason=one_line(message.reason),
        revision=message.revision,
        received=received,
        node=one_line(message.node),
    )


def instruction_view(message: InstructionChange, received: float) -> EventView:
    """Return another instruction as a line of the audit trail, heard at this wall time [s]."""
    return EventView(
        time=seconds(message.header.stamp),
        kind=TOLD,
        owner=one_line(message.owner),
        site="",
        feature=0,
        from_value=math.nan,
        to_value=math.nan,
        reason=one_line(message.instruction),
        revision=message.revision,
        received=received,
    )


def monitor_view(message: MonitorState) -> MonitorView:
    """Return what a monitor made of one inference."""
    known = message.on_alarm < len(ON_ALARM)
    return MonitorView(
        monitor_id=message.monitor_id,
        score_name=one_line(message.score_name),
        site=one_line(message.site),
        episode_id=message.episode_id,
        time=seconds(message.header.stamp),
        inference=message.inference,
        step=message.observation_step,
        score=message.score,
        threshold=message.threshold,
        above=message.above,
        alarm=message.alarm,
        alarm_step=message.alarm_step,
        on_alarm=ON_ALARM[message.on_alarm] if known else f"on_alarm {message.on_alarm}",
        acted=message.acted,
        detail=one_line(message.detail),
        policy_start_ns=message.policy_start,
    )


def episode_view(message: EpisodeState) -> EpisodeView:
    """Return what the bridge is doing."""
    return EpisodeView(
        episode_id=message.episode_id,
        suite=one_line(message.suite),
        task=message.task,
        instruction=one_line(message.instruction),
        step=message.step,
        max_steps=message.max_steps,
        status=_in_words(EpisodeStatus(message.status)),
        detail=one_line(message.detail),
        realtime=message.clock == EpisodeState.REALTIME,
        missed_deadlines=message.missed_deadlines,
        held_ticks=message.held_ticks,
        dropped_chunks=message.dropped_chunks,
        running=EpisodeStatus(message.status).under_way,
        time=seconds(message.header.stamp),
        start=seconds(message.start),
        init_state=message.init_state,
        seed=message.seed,
    )


def _in_words(status: EpisodeStatus) -> str:
    if status is EpisodeStatus.HOLDING:
        return "HOLDING, no valid action"
    return status.name if status is EpisodeStatus.ERROR else status.words


def recording_view(message: RecordingState) -> RecordingView:
    """Return what the recorder is doing."""
    return RecordingView(
        status=_RECORDING.get(message.status, f"status {message.status}"),
        uri=message.uri,
        elapsed=message.elapsed,
        size=message.size,
        messages=message.messages,
        dropped=message.dropped,
        detail=one_line(message.detail),
    )


def robot_view(message: RobotState) -> RobotView:
    """Return what a robot's bridge is doing."""
    return RobotView(
        status=_ROBOT.get(message.status, f"status {message.status}"),
        reason=one_line(message.reason),
        detail=one_line(message.detail),
        robot=one_line(message.robot),
        driver=one_line(message.driver),
        owner=one_line(message.owner),
        lease_left=message.lease_left,
        ticks=message.ticks,
        late_ticks=message.late_ticks,
        late_p99=message.late_p99,
        sent=message.sent,
        limited=message.limited,
        refused=message.refused,
        held=message.held,
        stops=message.stops,
    )


def takeover_view(message: TakeoverState) -> TakeoverView:
    """Return who commands."""
    return TakeoverView(
        taken_over=message.taken_over,
        owner=one_line(message.owner),
        silent=message.silent,
        refused=message.refused,
        refusal=one_line(message.refusal),
    )


def picture(message: Image) -> Picture:
    """Return the picture as RGB. Raises ObservationError for an encoding it cannot show."""
    if message.encoding not in _CHANNELS:
        raise ObservationError(
            complaint("encoding of a picture", message.encoding, ", ".join(_CHANNELS))
        )
    channels, order = _CHANNELS[message.encoding]
    lines = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    pixels = lines[:, : message.width * channels].reshape(message.height, message.width, channels)
    return Picture(seconds(message.header.stamp), np.ascontiguousarray(pixels[:, :, order]))


def seconds(stamp: Time) -> float:
    """Return a stamp in seconds since the epoch."""
    return to_ns(stamp) / NANOSECONDS


def _test_words(test: FeatureTest) -> str:
    return one_line(f"{said_test(test)} ({test.study}, {test.protocol})")


def _examples(info: FeatureInfo) -> tuple[Example, ...]:
    captions = [one_line(caption) for caption in info.example_captions]
    captions += [""] * (len(info.examples) - len(captions))
    return tuple(
        Example(bytes(example.data), caption)
        for example, caption in zip(info.examples, captions, strict=False)
    )
