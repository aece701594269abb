"""The service of a workspace in a cluster: a pod of its own, one more client of the workspace."""

import os
import socket
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.kept_folder import KeptFolder
from inference_provider.targets.kubernetes.kubeconfig import access
from inference_provider.targets.kubernetes.router_manifests import POD_IP
from inference_provider.targets.kubernetes.service_probes import Probes
from inference_provider.targets.kubernetes.target import KubernetesTarget
from inference_provider.targets.kubernetes.web_manifests import hosts
from inference_provider.targets.web_service import PAGES
from inference_provider.web.declared import await_declared
from inference_provider.web.serving import OneWorkspace, Place
from inference_provider.web.site import site_of
from inference_provider.workspace.state import State

_PERIOD_S, _SILENCE_S = 2.0, 5.0
_HANGS_S = 30.0
"""Time after which one that answers nobody is started again, by what its kubelet asks then."""
_ASKED = b"GET /health HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"


class _Target(OneWorkspace, KubernetesTarget):
    """A cluster, as if it had no other workspace."""


def opened(workspace: str, port: str, scheme: str, pages: str) -> Place:
    """Open a workspace, for a pod that ends when its Deployment wants another one."""
    namespace = access(None).namespace
    everywhere = "::" if ":" in os.environ.get(POD_IP, "") else "0.0.0.0"
    probes = Probes(everywhere, names.PROBES_PORT, longest_s=_HANGS_S)
    threading.Thread(target=probes.serve_forever, daemon=True).start()
    target = _Target(KubernetesPlace(kind="kubernetes", namespace=namespace))
    router = target.kubernetes.router(workspace)
    router.is_the_service = True
    state = State(target.kubernetes.ports(workspace).records)
    await_declared(state, scheme, lambda: probes.looks("requests"))
    folder = Path(tempfile.mkdtemp())
    kept = KeptFolder(target.kubernetes.client, namespace, folder)
    kept.restore()
    threading.Thread(target=_watch, args=(names.WEB_PORT, probes), daemon=True).start()
    return Place(
        target=target,
        workspace=workspace,
        state=state,
        router_url=lambda: router.address().url,
        folder=folder,
        host=everywhere,
        port=names.WEB_PORT,
        scheme=scheme,
        site=partial(site_of, everywhere, int(port), names=hosts(namespace)),
        pages=pages == PAGES,
        keeps=kept.keep,
    )


def _watch(port: int, probes: Probes) -> None:
    """Ask it again and again as a caller does, for its kubelet."""
    while True:
        well = answers(port)
        if well:
            probes.looks("requests")
        probes.looked("requests", is_well=well)
        time.sleep(_PERIOD_S)


def answers(port: int) -> bool:
    """Whether whoever listens on a port of this machine answers, or refuses: it does not hang."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SILENCE_S) as asked:
            asked.settimeout(_SILENCE_S)
            asked.sendall(_ASKED)
            asked.recv(1)  # nothing where it speaks TLS, or has too many connections
    except (ConnectionRefusedError, TimeoutError):
        return False
    except OSError:  # closed by it
        return True
    return True
