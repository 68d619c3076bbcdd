"""policy/feature_heatmap: where in the camera pictures the chosen feature fires."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import Image

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.policy.inference import Engine, Inference
from vla_sae_ros.srv import SelectHeatmap
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_image


def first_choice(engine: Engine, values: PolicyParameters) -> tuple[str, int] | None:
    """Return the site and feature that the node's parameters choose, or None.

    Raises:
        ConfigurationError: they cannot be drawn.
    """
    site, feature = values.heatmap_site, values.heatmap_feature
    if feature < 0:
        return None
    why_not = engine.why_no_heatmap(site, feature)
    if why_not:
        raise ConfigurationError(f"Parameters heatmap_site and heatmap_feature: {why_not}")
    return site, feature


class HeatmapPublisher:
    """Draws one feature over the pictures, while one is chosen and somebody looks.

    Args:
        node: whose topic and service these are.
        engine: says what can be drawn.
        chosen: at first: site and feature, see `first_choice`.
    """

    def __init__(self, node: Node, engine: Engine, chosen: tuple[str, int] | None) -> None:
        self._node, self._engine, self._chosen = node, engine, chosen
        self._publisher = node.create_publisher(Image, "policy/feature_heatmap", qos.PICTURE)
        self._service = node.create_service(
            SelectHeatmap, "policy/select_heatmap", self._select, qos_profile=qos.SERVICE
        )

    def destroy(self) -> None:
        """Take topic and service off the node."""
        self._node.destroy_service(self._service)
        self._node.destroy_publisher(self._publisher)

    def publish(self, job: Job, inference: Inference) -> None:
        """Publish the picture of this inference, if it is wanted."""
        chosen = self._chosen
        if chosen is None or inference.draw is None or not self._publisher.get_subscription_count():
            return
        header = to_header(job.stamp_ns, f"{chosen[0]}:{chosen[1]}")
        self._publisher.publish(to_image(inference.draw(*chosen), header))

    def _select(
        self, request: SelectHeatmap.Request, response: SelectHeatmap.Response
    ) -> SelectHeatmap.Response:
        if request.site:
            response.reason = self._engine.why_no_heatmap(request.site, request.feature)
        response.accepted = not response.reason
        if response.accepted:
            self._chosen = (request.site, request.feature) if request.site else None
        return response
