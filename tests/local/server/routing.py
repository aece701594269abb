"""A real Envoy in front of small real models, and the calls a client would make."""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import httpx
from pydantic import SecretStr
from tests.local.server.model import Model, RawModel, WsgiModel, until
from tests.ports import own_port

from inference_provider.router import DeploymentEntry, EndpointEntry, RouterTable
from inference_provider.router.status import InForce
from inference_provider.targets.envoy.authorities import ca_file
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.key_server import KeyServer

PRIMARY, SECONDARY = "primary-secret-4d1f", "secondary-secret-9b7c"
KEY = {"authorization": f"Bearer {PRIMARY}"}


class Served:
    """One running router, its table and a client."""

    def __init__(
        self, folder: pathlib.Path, endpoints: tuple[EndpointEntry, ...], **values: Any
    ) -> None:
        self.folder = folder
        self.values = values
        self.ports = (own_port(), own_port())
        self.router = Delivery(folder)
        self.trusted = ca_file()
        """Authorities that are trusted when keys are fetched."""
        self.key_server = self.serve_keys()
        table = self.table(*endpoints)
        self.router.validate(table)
        self.router.write_all(table)
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            self.router.command(), stdout=self.log, stderr=subprocess.STDOUT
        )
        until(self.router.is_ready)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.ports[0]}", timeout=20)

    def table(self, *endpoints: EndpointEntry) -> RouterTable:
        return RouterTable(
            folder=str(self.folder),
            host="127.0.0.1",
            port=self.ports[0],
            metrics_port=self.ports[1],
            endpoints=endpoints,
            **self.values,
        )

    def restart(self) -> None:
        """End the router at once, and start one that reads the files that are there now."""
        self.process.kill()
        self.process.wait(10)
        self.process = subprocess.Popen(
            self.router.command(), stdout=self.log, stderr=subprocess.STDOUT
        )
        until(self.router.is_ready)

    def serve_keys(self) -> KeyServer:
        found = KeyServer(self.folder, lambda: self.trusted)
        found.start()
        return found

    def end_keys(self) -> None:
        """End the process that fetches keys, as it is a thread here."""
        self.key_server.shutdown()
        self.key_server.server_close()

    def status(self) -> InForce:
        found = self.router.status()
        assert found is not None
        return found

    def close(self) -> None:
        self.client.close()
        self.end_keys()
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def ask(self, path: str, pin: str = "", method: str = "GET", **kwargs: Any) -> httpx.Response:
        headers = KEY | ({"azureml-model-deployment": pin} if pin else {})
        headers |= kwargs.pop("headers", {})
        return self.client.request(method, f"/endpoints/{path}", headers=headers, **kwargs)

    def versions(self) -> dict[str, str]:
        """Return version and count of updates of each kind, as the running router says."""
        found = self.router.admin.stats(r"(version_text|update_success)$")
        return {name: str(value) for name, value in found.items()}

    def raw(self, request: str, wait_s: float = 5) -> str:
        """Send what no client library would; return the answer up to the end of the connection."""
        return self.raw_bytes(request.encode(), wait_s).decode()

    def raw_bytes(self, request: bytes, wait_s: float = 5) -> bytes:
        with socket.create_connection(("127.0.0.1", self.ports[0]), wait_s) as opened:
            opened.sendall(request)
            found = b""
            while received := opened.recv(65536):
                found += received
        return found

    def logged(self) -> list[dict[str, Any]]:
        """Return the access log so far, without the line of this look at it."""
        found = [json.loads(line) for line in self.logged_bytes().splitlines()]
        return found[:-1]

    def logged_bytes(self) -> bytes:
        """Return the access log so far; what Envoy still holds back is written first."""
        path, last = self.folder / "access.log", f"last-{time.monotonic_ns()}"
        self.client.get("/", headers={"x-request-id": last})

        def written() -> bool:
            self.router.admin.post("/reopen_logs")
            return last in path.read_text()

        until(written)
        return path.read_bytes()

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.ports[1]}/metrics").text


@contextlib.contextmanager
def serving(*endpoints: EndpointEntry, **values: Any) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="router-test-") as folder:  # a short path
        served = Served(pathlib.Path(folder), endpoints, **values)
        try:
            yield served
        finally:
            served.close()


def deployment(name: str, *models: Model | RawModel | WsgiModel, **values: Any) -> DeploymentEntry:
    return DeploymentEntry(
        **{
            "name": name,
            "backends": tuple(model.backend for model in models),
            "timeout_ms": 5000,
            "max_concurrent": 100,
            "health_path": "/ready",
            "health_interval_ms": 500,
            **values,
        }
    )


def endpoint(
    name: str, weights: dict[str, int], *deployments: DeploymentEntry, **values: Any
) -> EndpointEntry:
    values = {"keys": (SecretStr(PRIMARY), SecretStr(SECONDARY)), **values}
    return EndpointEntry(name=name, deployments=deployments, weights=weights, **values)


def raw_get(path: str, *headers: str, method: str = "GET") -> str:
    """Return a request with the key that is sent exactly as it is written here."""
    lines = (f"{method} {path} HTTP/1.1", "host: router", f"authorization: Bearer {PRIMARY}")
    return "\r\n".join((*lines, *headers, "connection: close", "", ""))


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def asked(served: Served, count: int, threads: int = 4, path: str = "chat/score") -> list[str]:
    """Ask `count` times over kept connections; return who answered, in no order."""

    def some(number: int) -> list[str]:
        connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
        found = []
        for _ in range(number):
            connection.request("GET", f"/endpoints/{path}", headers=KEY)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            found.append(answer.headers["azureml-model-deployment"])
        connection.close()
        return found

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return [one for part in pool.map(some, [count // threads] * threads) for one in part]
