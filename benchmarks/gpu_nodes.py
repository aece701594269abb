"""A Kubernetes cluster with many endpoints on many GPU nodes.

The cluster is that of `tests/cluster/with_cluster.sh`. The router's pods and the content's are
real; nodes with GPUs, and the instances on them, are played by kwok. One server answers for the
addresses of all of them, because the routers check their health.
"""

import gc
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from measure import Table, skipped

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import cluster_host
from tests.cluster.api import Api
from tests.cluster.fake_nodes import PRODUCT, fake_nodes, gpu_node
from tests.cluster.places import NETWORK, ours
from tests.cluster.runtime import runtime_image

from inference_provider.cli.entry import COLLECT_EVERY
from inference_provider.errors import InferenceError
from inference_provider.observed import Actor, Kind, ResourceId
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.capabilities import PARALLEL
from inference_provider.targets.kubernetes.objects import NODE, POD, labels_of, name_of, selector
from inference_provider.targets.kubernetes.target import KubernetesTarget

TITLE = "Kubernetes"
SIZES = tuple(map(int, os.environ.get("BENCH_CLUSTER_SIZES", "50,200").split(",")))
PRODUCTS = ("NVIDIA-A10G", "NVIDIA-H100-80GB-HBM3", "NVIDIA-L4")
NODES = int(os.environ.get("BENCH_CLUSTER_NODES", "200"))
GPUS = int(os.environ.get("BENCH_CLUSTER_GPUS", "8"))
WEIGHTS = 5
GONE_S = 900
ADDRESSES, PORT = "10.220.0.0/16", 18080
IMAGE = os.environ.get("INFERENCE_TEST_BASE_IMAGE", "debian-python:12")
ANSWERING = f"""
import asyncio

class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for _ in range(data.count(b"\\r\\n\\r\\n")):
            self.transport.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "0.0.0.0", {PORT}, backlog=4096)
    await server.serve_forever()

asyncio.run(main())
"""
Row = tuple[str, ...]


def measure() -> list[Table]:
    missing = cluster_host.missing()
    if not missing and Path(cluster_host.KUBECONFIG) != ours().kubeconfig:
        missing = "only the cluster of with_cluster.sh gets nodes that are none"
    if missing:
        return [skipped(TITLE, missing)]
    os.environ["KUBECONFIG"] = cluster_host.KUBECONFIG
    gc.set_threshold(COLLECT_EVERY)  # as in a command
    with Api(Path(cluster_host.KUBECONFIG)) as api, fake_nodes(ours(), api) as fakes, _answering():
        run = int(time.time())
        products = {f"bench{run}-{n}": PRODUCTS[n % 3] for n in range(NODES)}
        fakes.add(*(gpu_node(name, product, GPUS) for name, product in products.items()))
        found = [_Measured(size, api).rows() for size in SIZES]
    rows = [(what, *(by[what] for by in found)) for what in found[0]]
    header = ("what", *(f"{size} endpoints" for size in SIZES))
    note = (
        f"Once each; every endpoint has 2 deployments of one instance with one GPU of a product,"
        f" on {NODES} nodes with {GPUS} GPUs each, which kwok plays."
        " The API server also answers kwok and the cluster's controllers in its time."
    )
    return [Table("Many endpoints in a cluster", header, rows, (note,))]


@contextmanager
def _answering() -> Iterator[None]:
    """Answer for the address of every fake pod, in the network of the cluster's node."""
    route = ("ip", "-n", NETWORK, "route")
    subprocess.run((*route, "add", "local", ADDRESSES, "dev", "lo"), check=True)
    command = ("ip", "netns", "exec", NETWORK, sys.executable, "-c", ANSWERING)
    server = subprocess.Popen(command)
    try:
        yield
    finally:
        server.terminate()
        server.wait()
        subprocess.run((*route, "del", "local", ADDRESSES, "dev", "lo"), check=False)


class _Measured:
    """One workspace of one size."""

    def __init__(self, size: int, api: Api) -> None:
        self.size = size
        self.api = api
        self.workspace = f"bench{size}x{int(time.time())}"
        self.target = KubernetesTarget("kubernetes")
        self.client = self.target.kubernetes.client
        self.found: dict[str, str] = {}

    def rows(self) -> dict[str, str]:
        document = _stack(self.workspace, self.size)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            self.file = Path(folder) / "stack.yaml"
            try:
                self._up("first `up`", {**document, "endpoints": [], "deployments": []}, quiet=True)
                before_s = self._spent_s()
                self._up("first `up`", document)
                for who, spent_s in self._spent_s().items():
                    self.found[f"its processor time, {who}"] = f"{spent_s - before_s[who]:.1f} s"
                self._placed()
                self._up("`up` without a change", document)
                self._timed("`drift`", lambda: self._pipeline("drift").drift(self._read()))
                self._weights()
                self.found["memory of a router pod"] = f"{self._memory_mib():.0f} MiB"
            finally:
                self._removed()
        return self.found

    def _removed(self) -> None:
        """Remove the workspace, and wait until nothing of it is left to disturb the next one."""
        with suppress(InferenceError):
            self.target.kubernetes.remove(self.workspace)
        until_s = time.monotonic() + GONE_S
        while self.api.answers(f"/api/v1/namespaces/{self.workspace}"):
            if time.monotonic() > until_s:
                raise TimeoutError(f"the namespace {self.workspace} is there after {GONE_S} s")
            time.sleep(1)

    def _spent_s(self) -> dict[str, float]:
        """Return the processor time that was spent so far, seconds by who spent it."""
        server = re.search(r"^process_cpu_seconds_total (\S+)$", self.api.text("/metrics"), re.M)
        return {
            "client": time.process_time(),
            "a router pod": max(self._of_routers("cpuacct", "cpuacct.usage"), default=0) / 1e9,
            "API server": float(server[1]) if server else 0.0,
        }

    def _pipeline(self, command: str) -> Pipeline:
        """Return one that knows nothing yet, as a command that begins."""
        self.target = KubernetesTarget("kubernetes")
        self.client = self.target.kubernetes.client
        return Pipeline(self.target, Actor(user="bench", command=command))

    def _read(self) -> Stack:
        return Stack.load(self.file)

    def _up(self, what: str, document: dict[str, Any], *, quiet: bool = False) -> None:
        self.file.write_text(yaml.safe_dump(document))

        def up() -> None:
            pipeline, stack = self._pipeline("up"), self._read()
            with pipeline.hold(stack) as workspaces:
                planned = pipeline.plan(stack, workspaces)
                pipeline.apply(planned, parallel=PARALLEL)

        self._timed(what, up)
        if quiet:
            del self.found[what]

    def _timed(self, what: str, call: Callable[[], object]) -> None:
        start_s = time.perf_counter()
        call()
        spent_s = time.perf_counter() - start_s
        self.found[what] = f"{spent_s:.1f} s, {self.client.calls:,} calls"
        print(self.size, what, self.found[what], file=sys.stderr)

    def _placed(self) -> None:
        """Count the pods that run on the product which their deployment names."""
        products = {name_of(n): labels_of(n).get(PRODUCT) for n in self.client.items(NODE)}
        chosen = selector(names.selecting(self.workspace, names.INSTANCE))
        pods = self.client.items(POD, self.workspace, chosen)
        right = Counter(products[p["spec"]["nodeName"]] == _product_of(p) for p in pods)
        self.found["pods on the right product"] = f"{right[True]:,} of {2 * self.size:,}"

    def _weights(self) -> None:
        pipeline, spent = self._pipeline("split"), []
        self.target.observe([self.workspace])
        for number in range(WEIGHTS):
            blue, name = 60 + number, f"bench-{number}"
            endpoint = ResourceId(kind=Kind.ENDPOINT, workspace=self.workspace, name=name)
            start_s = time.perf_counter()
            pipeline.split(endpoint, {"blue": blue, "green": 100 - blue})
            spent.append(time.perf_counter() - start_s)
        worst = max(spent)
        self.found["a change of weights, in force on both pods, longest"] = f"{worst:.2f} s"

    def _memory_mib(self) -> float:
        """Return how much memory the processes of one router pod hold that no other shares."""
        return max(self._of_routers("memory", "memory.usage_in_bytes"), default=0) / 2**20

    def _of_routers(self, controller: str, file: str) -> list[int]:
        """Return what the cgroups of the router's pods say in a file."""
        chosen = selector(names.selecting(self.workspace, names.ROUTER))
        found = []
        for pod in self.client.items(POD, self.workspace, chosen):
            uid = pod["metadata"]["uid"]
            root = Path("/sys/fs/cgroup") / controller
            groups = root.glob(f"inference-cluster/kubepods/**/{file}")
            ours = {f"pod{uid}", f"pod{uid.replace('-', '_')}"}
            found += [int(one.read_text()) for one in groups if one.parent.name in ours]
        return found


def _stack(workspace: str, size: int) -> dict[str, Any]:
    route = {"path": "/", "port": PORT}
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    place = {"name": workspace, "target": "kubernetes"}
    return {
        "name": workspace,
        "workspaces": [{**place, "base_image": IMAGE, "runtime_image": runtime_image()}],
        "environments": [{"name": "plain", "image": IMAGE, "inference_config": routes}],
        "endpoints": [{"name": f"bench-{n}"} for n in range(size)],
        "deployments": [
            _deployment(f"bench-{n}", name, PRODUCTS[(2 * n + odd) % 3])
            for n in range(size)
            for odd, name in enumerate(("blue", "green"))
        ],
    }


def _deployment(endpoint: str, name: str, product: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "name": name,
        "environment": "plain@latest",
        "resources": {"limits": {"gpu": 1}, "gpu_product": product},
    }


def _product_of(pod: dict[str, Any]) -> str:
    """Return the product that a pod's deployment names."""
    rules = pod["spec"]["affinity"]["nodeAffinity"]
    terms = rules["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    [product] = terms[0]["matchExpressions"][0]["values"]
    return str(product)
