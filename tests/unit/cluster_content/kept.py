"""Content that a test has kept in a cluster, and how old it is."""

import os
import time
from pathlib import Path

import httpx
from tests.cluster_api import ClusterApi

from inference_provider.desired import DesiredResource, identify
from inference_provider.files.digest import with_content_hash
from inference_provider.files.source_folder import SourceFolder
from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec
from inference_provider.targets.kubernetes.content_server import Server
from inference_provider.workspace.ports import Unit

PROXY = "/api/v1/namespaces/lab/services/http:inference-content:8080/proxy"
SECRETS = "/api/v1/namespaces/lab/secrets"


class ThroughApi(httpx.BaseTransport):
    """What an API server does: its own objects, and a way to the content server."""

    def __init__(self, api: ClusterApi, server: Server) -> None:
        self.asked: list[str] = []
        self.refuse = lambda _asked: None
        self._objects = httpx.MockTransport(api.answer)
        self._server = server
        self._http = httpx.HTTPTransport()

    def handle_request(self, request):
        path = request.url.raw_path.decode()
        if not path.startswith(PROXY):
            return self._objects.handle_request(request)
        path = path.removeprefix(PROXY)
        self.asked.append(f"{request.method} {path[:20]}")
        refused = self.refuse(request)
        if refused is not None:
            return refused
        place = {"scheme": "http", "host": "127.0.0.1", "port": self._server.server_port}
        request.url = request.url.copy_with(**place, raw_path=path.encode())
        return self._http.handle_request(request)

    def close(self) -> None:
        self._http.close()


def hashed(spec, folder):
    return with_content_hash(spec, SourceFolder(Path(folder)))


def code_in(folder):
    """Write a scoring script below a folder, and return what a deployment says of it."""
    (folder / "code").mkdir()
    (folder / "code" / "score.py").write_text("def init(): pass")
    about = {"code": "code", "scoring_script": "score.py"}
    spec = DeploymentSpec(
        endpoint="iris", name="blue", environment="env:1", code_configuration=about
    )
    return hashed(spec, folder).code_configuration


def keep(content, spec, folder, said=None):
    kind = Kind.MODEL if isinstance(spec, ModelSpec) else Kind.ENVIRONMENT
    content.keep(desired(kind, spec, folder), (said if said is not None else []).append)


def desired(kind, spec, folder):
    id_ = identify(kind, spec)
    return DesiredResource(id=id_, spec=spec, owner="demo", base_dir=str(folder))


def age(tmp_path, seconds=8000.0):
    for one in (tmp_path / "volume/assets").iterdir():
        os.utime(one, (time.time() - seconds,) * 2)


def archives_in(tmp_path):
    return {one.name for one in (tmp_path / "volume/assets").iterdir()}


def pinned(model):
    return f"iris:1@sha256:{model.content_hash}"


def unit(model=None, environment=None, code=None, folder=None):
    environment = environment or EnvironmentSpec(name="env", content_hash="e" * 64)
    spec = DeploymentSpec(
        endpoint="iris",
        name="blue",
        environment=f"azureml:env:1@sha256:{environment.content_hash}",
        model=pinned(model) if model else None,
        code_configuration=code,
    )
    id_ = identify(Kind.DEPLOYMENT, spec)
    base_dir = str(folder) if folder else None
    return Unit(id_, "5efdeb203621", spec, environment, base_dir)
