"""How a client reaches a workspace's router in a cluster."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.kubeconfig import IN_CLUSTER
from inference_provider.targets.kubernetes.port_forward import PortForward
from inference_provider.targets.kubernetes.router import KubernetesRouter
from inference_provider.workspace.ports import Way

_LISTENS_S = 3.0


@contextmanager
def way_to(client: Client, router: KubernetesRouter, url: str) -> Iterator[Way]:
    """Go by a URL where it leads to the router, else through the API server to a pod of it.

    The name of a Service means something in its own cluster alone; elsewhere another host may
    have it, and would be given the key.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if (client.access.name == IN_CLUSTER or not host.endswith(".svc")) and _listens(host, port):
        yield Way()
        return
    forward = PortForward(client, router.namespace, router.ready_pod(), names.ROUTER_PORT)
    try:
        yield Way(str(forward.socket), forward.cause)
    finally:
        forward.close()


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_LISTENS_S):
            return True
    except OSError:
        return False
