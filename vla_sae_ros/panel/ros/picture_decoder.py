"""Compressed pictures, decoded where nobody waits for it."""

from __future__ import annotations

import threading

from sensor_msgs.msg import CompressedImage

from vla_sae_ros.core.contract.pictures import CompressedPicture
from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.panel.ros.from_messages import seconds
from vla_sae_ros.panel.state.incoming import Incoming
from vla_sae_ros.panel.state.mailbox import Mailbox
from vla_sae_ros.panel.state.values import Picture
from vla_sae_ros.panel.widgets.guard import guarded


class PictureDecoder:
    """Turns CompressedImage into pictures in `incoming`, on a thread of its own.

    Three large JPEGs per tick would hold up the ROS thread, on which a robot's heartbeat depends.
    Of each camera only the newest counts; what cannot be decoded is counted in
    `incoming.broken_pictures`.
    """

    def __init__(self, incoming: Incoming) -> None:
        """Start the thread; it sleeps until there is a picture."""
        self._incoming = incoming
        self._waiting: Mailbox[str, CompressedImage] = Mailbox()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="panel-pictures", daemon=True)
        self._thread.start()

    def put(self, camera: str, message: CompressedImage) -> None:
        """Decode a message soon, unless a newer one of the camera comes first."""
        self._waiting.put(camera, message)
        self._wake.set()

    def close(self) -> None:
        """End the thread; what waits is not decoded any more."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            for camera, message in self._waiting.take().items():
                self._decode(camera, message)

    @guarded()
    def _decode(self, camera: str, message: CompressedImage) -> None:
        picture = CompressedPicture(bytes(message.data), message.format, camera)
        try:
            pixels = picture.decoded()
        except ObservationError:
            broken = self._incoming.broken_pictures
            broken[camera] = broken.get(camera, 0) + 1
            return
        self._incoming.pictures.put(camera, Picture(seconds(message.header.stamp), pixels))
