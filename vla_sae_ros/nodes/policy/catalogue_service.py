"""policy/catalogue and policy/annotate_feature: what is known about features, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rclpy.node import Node

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.user_notes import overlaid, write_note
from vla_sae_ros.msg import FeatureCatalogue
from vla_sae_ros.nodes.policy.messages import to_catalogue
from vla_sae_ros.policy.inference import Engine
from vla_sae_ros.srv import AnnotateFeature
from vla_sae_ros.wire import qos


class CatalogueService:
    """Publishes an engine's catalogues with what people wrote, and keeps what they write.

    It is kept in a folder of the user's (core/user_notes.py), never in the bundles themselves.

    Args:
        node: whose topic and service these are.
        engine: whose bundles they are.
        folders: of the bundles, in their order.
    """

    def __init__(self, node: Node, engine: Engine, folders: Sequence[Path]) -> None:
        self._node, self._engine = node, engine
        sites = [bundle.card.site for bundle in engine.bundles]
        self._sizes = {site.name: site.dictionary_size for site in engine.steering_sites()}
        self._paths = {
            site: folder / CATALOGUE_FILE for site, folder in zip(sites, folders, strict=True)
        }
        self._ids = {bundle.card.site: bundle.bundle_id for bundle in engine.bundles}
        self._catalogues = {
            bundle.card.site: self._with_notes(bundle.catalogue) for bundle in engine.bundles
        }
        self._publisher = node.create_publisher(FeatureCatalogue, "policy/catalogue", qos.LATCHED)
        self._service = node.create_service(
            AnnotateFeature, "policy/annotate_feature", self._annotate, qos_profile=qos.SERVICE
        )
        self._publish()

    def destroy(self) -> None:
        """Take topic and service off the node."""
        self._node.destroy_service(self._service)
        self._node.destroy_publisher(self._publisher)

    def _with_notes(self, catalogue: Catalogue) -> Catalogue:
        """Return a catalogue with the user's notes; without them, said, if they are damaged."""
        try:
            return overlaid(catalogue, self._ids[catalogue.site])
        except ConfigurationError as error:
            self._node.get_logger().error(f"labels and notes of the user are not shown: {error}")
            return catalogue

    def _publish(self) -> None:
        now = self._node.get_clock().now().nanoseconds
        self._publisher.publish(to_catalogue(self._engine, now, self._catalogues))

    def _annotate(
        self, request: AnnotateFeature.Request, response: AnnotateFeature.Response
    ) -> AnnotateFeature.Response:
        label = request.label.strip()
        try:
            path = self._path_of(request.site, request.feature)
            bundle_id = self._ids[request.site]
            write_note(request.site, bundle_id, request.feature, label, request.notes)
            # The bundle's file as it is now: a tool may have changed it since.
            self._catalogues[request.site] = overlaid(Catalogue.load(path), bundle_id)
        except ConfigurationError as refusal:
            response.reason = str(refusal)
            self._node.get_logger().warning(f"note of {request.author!r} refused: {refusal}")
            return response
        response.accepted = True
        self._node.get_logger().info(
            f"{request.author!r} wrote about feature {request.feature} of {request.site}: {label!r}"
        )
        self._publish()
        return response

    def _path_of(self, site: str, feature: int) -> Path:
        if site not in self._paths:
            raise ConfigurationError(complaint("no SAE on this site", site, sorted(self._paths)))
        if feature >= self._sizes[site]:
            allowed = f"0 to {self._sizes[site] - 1}"
            raise ConfigurationError(complaint(f"unknown feature of {site}", feature, allowed))
        return self._paths[site]
