"""Connections to registries: each is a Secret, by which the pods of instances pull their images.

Whoever may read Secrets of the namespace reads it, as the records; only it is not encrypted.
"""

import json
from base64 import b64encode
from collections.abc import Mapping

from inference_provider.observed import ResourceId
from inference_provider.spec.registry import HUB, nearest
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import (
    apply_if_free,
    delete_ours,
)
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import SECRET, Object, encoded, selector
from inference_provider.targets.kubernetes.observed_objects import altered, listed
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.workspace.logins import registry_connections
from inference_provider.workspace.registry_login import Login
from inference_provider.workspace.state import State

REGISTRY = "registry"
"""Role, as a label, of what a connection to a registry makes."""
_HUB_URL = "https://index.docker.io/v1/"
"""What Docker's own registry is called where credentials are, by Docker and Kubernetes."""


class RegistrySecrets:
    """The Secrets of one workspace's connections to registries."""

    def __init__(self, client: Client, records: ClusterRecords) -> None:
        self._client, self._state = client, State(records)
        self._workspace, self._namespace = records.workspace, records.namespace

    def keep(self, connection: str, login: Login) -> None:
        """Make it, or change it. Raises OwnedByAnother when somebody else's has its name."""
        secret = self._object(connection) | _content(login)
        apply_if_free(self._client, secret)

    def drop(self, connection: str) -> None:
        delete_ours(self._client, self._object(connection))

    def faults(self) -> Mapping[ResourceId, str]:
        """Say of which connections the Secret is gone or was changed by hand."""
        connections = registry_connections(self._state)
        if not connections:
            return {}
        chosen = selector(names.selecting(self._workspace, REGISTRY))
        there = listed(self._client, self._namespace, [SECRET], chosen)
        wanted = {one: [(SECRET, names.registry(one.name))] for one in connections}
        found = {one: "; ".join(altered(objects, there)) for one, objects in wanted.items()}
        return {one: said for one, said in found.items() if said}

    def naming(self, *images: str) -> tuple[str, ...]:
        """Return the names of those by which some images are pulled."""
        connections = registry_connections(self._state)
        asked = {nearest(image, connections) for image in images}
        return tuple(names.registry(one.name) for one in connections if one in asked)

    def _object(self, connection: str) -> Object:
        return {
            "apiVersion": SECRET.api,
            "kind": SECRET.name,
            "metadata": {
                "name": names.registry(connection),
                "namespace": self._namespace,
                "labels": names.labels(self._workspace, REGISTRY),
            },
        }


def _content(login: Login) -> Object:
    password = login.password.get_secret_value()
    user = {
        "username": login.username,
        "password": password,
        "auth": b64encode(f"{login.username}:{password}".encode()).decode(),
    }
    # a kubelet knows folders of a registry, but none of Docker's own
    registry = _HUB_URL if login.registry.partition("/")[0] == HUB else login.registry
    config = json.dumps({"auths": {registry: user}})
    return {
        "type": "kubernetes.io/dockerconfigjson",
        "data": encoded({".dockerconfigjson": config}),
    }
