"""The wiring of a Docker host as a target: a workspace is a network, two volumes and containers."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import InferenceError
from inference_provider.spec.target import Place
from inference_provider.targets.docker import names
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.docker.compute import DockerCompute
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import Images
from inference_provider.targets.docker.locks import HostLocks
from inference_provider.targets.docker.network import make_network, remove_network
from inference_provider.targets.docker.records import EMPTY_IMAGE, HostRecords, make_empty_image
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.ports import Ports


@dataclass(frozen=True)
class _Opened:
    records: HostRecords
    router: DockerRouter
    content: DockerContent
    ports: Ports


class DockerPlatform:
    """Runs workspaces as containers of one Docker host."""

    def __init__(self, place: Place) -> None:
        self.host = DockerHost(place)
        self._images = Images(self.host)
        self._opened: dict[str, _Opened] = {}

    @cached_property
    def capabilities(self) -> TargetCapabilities:
        return docker_capabilities(0)

    def workspaces(self) -> tuple[str, ...]:
        found = self.host.volumes({"label": [f"{names.ROLE}={names.RECORDS}"]})
        return tuple(sorted(map(names.workspace_of, found)))

    def ports(self, workspace: str) -> Ports:
        return self._open(workspace).ports

    def _open(self, workspace: str) -> _Opened:
        if workspace not in self._opened:
            records = HostRecords(self.host, workspace)
            router = DockerRouter(self.host, records)
            content = DockerContent(self.host, records, self._images)
            compute = DockerCompute(self.host, records, content, router)
            ports = Ports(records, compute, router, content)
            self._opened.setdefault(workspace, _Opened(records, router, content, ports))
        return self._opened[workspace]

    @contextmanager
    def first_up(self, desired: DesiredResource) -> Iterator[bool]:
        workspace = desired.id.workspace
        make_empty_image(self.host)
        with HostLocks(self.host, workspace, EMPTY_IMAGE).lock("first"):
            is_first = not self._open(workspace).records.exists()
            if is_first:
                with self._started(desired):
                    yield True
        if not is_first:
            yield False

    @contextmanager
    def _started(self, desired: DesiredResource) -> Iterator[None]:
        workspace, spec = desired.id.workspace, desired.spec
        opened = self._open(workspace)
        try:
            self.remove(workspace)  # what a first `up` that was killed left
            opened.records.make()
            make_network(self.host, workspace)
            image = self._images.runtime(spec.base_image)
            opened.router.make(image)
            opened.router.start_first(spec.bind_address, spec.router_port, image)
            yield
        except BaseException:
            with suppress(InferenceError):  # the first error is the one to report
                self.remove(workspace)
            raise

    @contextmanager
    def change(self, desired: DesiredResource) -> Iterator[None]:
        router, spec = self._open(desired.id.workspace).router, desired.spec
        before = router.listens()
        if before.host != spec.bind_address:
            router.save(before.model_copy(update={"host": spec.bind_address}))
        try:
            yield
        except BaseException:
            router.save(before)  # else every later change would be refused too
            raise

    def shut_down(self, workspace: str) -> None:
        found = self.host.containers(names.selecting(workspace, names.INSTANCE))
        opened = self._open(workspace)
        opened.ports.compute.retire("", [c["Id"] for c in found], 5)
        opened.router.remove()

    def remove(self, workspace: str) -> None:
        opened = self._open(workspace)
        self.shut_down(workspace)
        opened.content.delete()
        remove_network(self.host, workspace)
        opened.records.delete()

    def remove_unrecorded(self, workspace: str) -> None:
        make_empty_image(self.host)
        with HostLocks(self.host, workspace, EMPTY_IMAGE).lock("first"):
            if not self._open(workspace).records.exists():
                self.remove(workspace)


class DockerTarget(Engine):
    """A Docker host as a target."""

    def __init__(self, place: Place) -> None:
        self.docker = DockerPlatform(place)
        super().__init__(self.docker)
