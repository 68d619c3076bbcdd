"""policy/catalogue and policy/annotate_feature: what is known about features, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rclpy.node import Node

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.msg import FeatureCatalogue
from vla_sae_ros.nodes.policy.messages import to_catalogue
from vla_sae_ros.policy.inference import Engine
from vla_sae_ros.srv import AnnotateFeature
from vla_sae_ros.wire import qos


class CatalogueService:
    """Publishes an engine's catalogues and writes what people say into their bundles.

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
        self._catalogues = {bundle.card.site: bundle.catalogue for bundle in engine.bundles}
        self._publisher = node.create_publisher(FeatureCatalogue, "policy/catalogue", qos.LATCHED)
        self._service = node.create_service(
            AnnotateFeature, "policy/annotate_feature", self._annotate, qos_profile=qos.SERVICE
        )
        self._publish()

    def destroy(self) -> None:
        """Take topic and service off the node."""
        self._node.destroy_service(self._service)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        now = self._node.get_clock().now().nanoseconds
        self._publisher.publish(to_catalogue(self._engine, now, self._catalogues))

    def _annotate(
        self, request: AnnotateFeature.Request, response: AnnotateFeature.Response
    ) -> AnnotateFeature.Response:
        label = request.label.strip()
        try:
            path = self._path_of(request.site, request.feature)
            self._catalogues[request.site] = _written(path, request.feature, label, request.notes)
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


def _written(path: Path, feature: int, label: str, notes: str) -> Catalogue:
    """Write into the file as it is now, which a tool may have changed since; return the result.

    Raises:
        ConfigurationError: the file cannot be read or written; it is as it was.
    """
    catalogue = Catalogue.load(path)
    entry = catalogue.get(feature) or FeatureEntry(feature)
    changed = catalogue.with_entry(entry.named_by_person(label, notes))
    try:
        changed.save(path)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write {path}: {error.strerror}. Make the folder of the bundle writable, or "
            "serve a copy of it."
        ) from error
    return changed
