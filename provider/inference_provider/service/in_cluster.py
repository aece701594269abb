"""The workspace service of a cluster, in a pod of its own: one more client of its workspace.

It changes nothing but what others could change too, under the same locks, so its end at any moment
loses nothing, and two of it for a moment make no step twice. The platform keeps autoscale rules,
and each router pod serves its own metrics.
"""

import os
import signal
import threading
from typing import Protocol

from inference_provider.observed import Actor
from inference_provider.secret_stores.opened import open_store
from inference_provider.service.canaries import Canaries
from inference_provider.service.looking import Keeper, look
from inference_provider.spec.target import KubernetesPlace
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.kubeconfig import access
from inference_provider.targets.kubernetes.pod_counts import PodCounts
from inference_provider.targets.kubernetes.router_manifests import POD_IP
from inference_provider.targets.kubernetes.service_probes import Probes
from inference_provider.targets.kubernetes.target import KubernetesPlatform
from inference_provider.workspace.engine import Engine

PERIOD_S, IDLE_S = 1.0, 3.0
"""Between two looks: while a split moves, and while none does."""


def run(workspace: str) -> None:
    """Serve one workspace until the pod is to end: what is begun then is finished."""
    namespace = access(None).namespace
    platform = KubernetesPlatform(KubernetesPlace(kind="kubernetes", namespace=namespace))
    platform.router(workspace).is_the_service = True
    engine = Engine(platform)
    engine.open_store = open_store
    counts = PodCounts(platform.client, workspace, namespace)
    mover = Actor(user=workspace, command="rollout")
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_given: ends.set())
    everywhere = "::" if ":" in os.environ.get(POD_IP, "") else "0.0.0.0"
    probes = Probes(everywhere, names.PROBES_PORT)
    threading.Thread(target=probes.serve_forever, daemon=True).start()
    keep(Canaries(engine, workspace, counts, actor=mover), probes, ends)


class Watch(Keeper, Protocol):
    """Keeps splits on their way."""

    @property
    def any_moves(self) -> bool: ...


def keep(canaries: Watch, probes: Probes, ends: threading.Event) -> None:
    """Look at splits again and again, until it is to end."""
    said = ""
    while not ends.is_set():
        probes.looks()
        said = look(canaries, said)
        probes.is_well = not said
        ends.wait(PERIOD_S if canaries.any_moves else IDLE_S)
