"""The wiring of a Docker host as a target: a workspace is a network, two volumes and containers."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import urlsplit

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import TargetError
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.listens import ports_of
from inference_provider.spec.logs import LogSettings
from inference_provider.spec.metrics import MetricsSettings
from inference_provider.spec.target import Home, Place
from inference_provider.targets.docker import names
from inference_provider.targets.docker.autoscaler import Autoscaler
from inference_provider.targets.docker.capabilities import docker_capabilities
from inference_provider.targets.docker.compute import DockerCompute
from inference_provider.targets.docker.content import DockerContent
from inference_provider.targets.docker.gpus import HostGpus, Inventory, inventory
from inference_provider.targets.docker.host import DockerHost
from inference_provider.targets.docker.images import HostImages
from inference_provider.targets.docker.kept_images import HostImageStore
from inference_provider.targets.docker.locks import HostLocks
from inference_provider.targets.docker.log_sources import LogSources
from inference_provider.targets.docker.meter import HostPlace
from inference_provider.targets.docker.network import remove_networks
from inference_provider.targets.docker.records import HostRecords, make_empty_image
from inference_provider.targets.docker.router import DockerRouter
from inference_provider.targets.docker.ruled_router import RuledRouter
from inference_provider.targets.docker.ssh import Tunnel
from inference_provider.targets.docker.web import Web
from inference_provider.targets.first_up import Named, first_up, saved
from inference_provider.targets.images import Images
from inference_provider.targets.meter import WorkspaceMeter
from inference_provider.targets.request_counts import RequestCounts
from inference_provider.targets.samples import Samples
from inference_provider.targets.taken_ports import Neighbour, taken_faults
from inference_provider.workspace.alert_states import States
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.image_store import ImageStore
from inference_provider.workspace.measured import Meter, Running, running
from inference_provider.workspace.ports import Ports, Tell, Way
from inference_provider.workspace.state import RECORDS, State

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class _Opened:
    records: HostRecords
    router: RuledRouter
    content: DockerContent
    ports: Ports


class DockerPlatform:
    """Runs workspaces as containers of one Docker host."""

    def __init__(self, place: Place, gpus: Inventory | None = None) -> None:
        """Open a host; `gpus` says which it has, in place of asking it."""
        self.host = DockerHost(place)
        self.builder = HostImages(self.host)
        self._images = Images(self.builder)
        found = gpus or inventory(self.host, self.builder.any_with_a_shell)
        self.gpus = HostGpus(self.host, found)
        self._opened: dict[str, _Opened] = {}

    @cached_property
    def capabilities(self) -> TargetCapabilities:
        taken = partial(taken_faults, there=self._neighbours)
        return docker_capabilities(
            self.gpus.ledger, self.builder.fault, self._has_image_of, taken=taken
        )

    def _neighbours(self) -> Iterator[Neighbour]:
        """Yield every workspace of the host."""
        for name in self.workspaces():
            opened = self._open(name)
            yield Neighbour(name, State(opened.records), opened.router.kept_address)

    def _has_image_of(self, desired: DesiredResource, workspace: WorkspaceSpec | None) -> bool:
        opened, spec = self._open(desired.id.workspace), desired.spec
        if isinstance(spec, WorkspaceSpec):
            return self._images.has_runtime(spec)
        if not opened.records.exists():
            return self._images.has_environment(spec, workspace)
        with suppress(TargetError):  # a document that cannot be read is made again
            kept = opened.content.environments.kept(spec.content_hash or "")
            if kept is not None and self.host.has_image(kept.image):
                return True
        return self._images.has_environment(spec, workspace or opened.content.workspace())

    @cached_property
    def images(self) -> HostImageStore:
        """Every image that was built on the host, whatever workspace it is for."""
        return HostImageStore(self.host, self.builder, self._all)

    def _all(self) -> Iterator[tuple[str, State, DockerContent, DockerRouter]]:
        for name in self.workspaces():
            opened = self._open(name)
            yield name, State(opened.records), opened.content, opened.router

    def workspaces(self) -> tuple[str, ...]:
        found = self.host.volumes({"label": [f"{names.ROLE}={names.RECORDS}"]})
        return tuple(sorted(map(names.workspace_of, found)))

    def ports(self, workspace: str) -> Ports:
        return self._open(workspace).ports

    def _open(self, workspace: str) -> _Opened:
        if workspace not in self._opened:
            records = HostRecords(self.host, workspace)
            content = DockerContent(self.host, records, self._images)
            newest = partial(self._newest_runtime, content)
            autoscaler = Autoscaler(self.host, records, partial(_socket, content))
            web = Web(self.host, records, partial(_socket, content))
            router = RuledRouter(self.host, records, newest, autoscaler, web)
            told = autoscaler.events
            compute = DockerCompute(self.host, records, content, router, self.gpus, told=told)
            four = (records, compute, router, content)
            ports = Ports(*four, sign_in=content.sign_in, keep_rules=router.keep_rules)
            self._opened.setdefault(workspace, _Opened(records, router, content, ports))
        return self._opened[workspace]

    def _newest_runtime(self, content: DockerContent) -> str | None:
        with suppress(TargetError):  # a record that cannot be read names no image
            return self._images.newest_runtime(content.workspace())
        return None

    def samples(self, workspace: str) -> Samples:
        """Return what measures the deployments of a workspace for their autoscale rules."""
        router = self.router(workspace)

        def waiting() -> Mapping[str, int] | None:
            said = router.waits()
            return None if said is None else said.waiting

        place = HostPlace(self.host, workspace, router)
        return Samples(
            router.statistics,
            place.used,
            waiting=waiting,
            histograms=router.histograms,
            gpus=place.gpus,
        )

    def router(self, workspace: str) -> RuledRouter:
        """Return a workspace's router."""
        return self._open(workspace).router

    def meter(self, workspace: str, running: Callable[[], Collection[Running]]) -> Meter:
        """Return what measures a workspace, given what returns the instances of deployments."""
        return WorkspaceMeter(
            HostPlace(self.host, workspace, self._open(workspace).router), running
        )

    def metrics(self, workspace: str) -> Callable[[], MetricsSettings | None]:
        """Return what says where that which is measured goes."""
        return self._open(workspace).router.metrics

    def logs(self, workspace: str) -> Callable[[], LogSettings | None]:
        """Return what says where logs go."""
        return self._open(workspace).router.logs

    def log_sources(self, workspace: str, folder: Path) -> LogSources:
        """Return what says which logs there are.

        Args:
            workspace: Whose.
            folder: Where the Engine's folder of containers is here.
        """
        opened = self._open(workspace)
        events = opened.ports.compute.events
        return LogSources(self.host, workspace, opened.router, events, folder)

    def counts(self, workspace: str) -> RequestCounts:
        """Return what counts the requests of a workspace's deployments, for rollouts."""
        return RequestCounts(self._open(workspace).router.counted)

    def decisions(self, workspace: str) -> Iterator[str]:
        """Yield what a workspace's autoscaler has written down, oldest first."""
        return self._open(workspace).router.autoscaler.decisions()

    def alert_states(self, workspace: str) -> States:
        """Return how the alerts of a workspace stand, as its service has written it down."""
        return self._open(workspace).router.autoscaler.alerts()

    @contextmanager
    def first_up(self, desired: DesiredResource, tell: Tell) -> Iterator[bool]:
        router = self._open(desired.id.workspace).router
        with first_up(Named(self, desired, tell)) as is_first:
            if is_first:
                with router.given(desired.spec.engine_socket, tell):
                    yield True
            else:
                yield False

    def start(self, workspace: str, spec: WorkspaceSpec, tell: Tell) -> None:
        """Start what a workspace is before it is recorded."""
        opened = self._open(workspace)
        opened.records.make()
        image = self._images.runtime(spec, tell)
        opened.router.make(image)
        opened.router.start_first(spec.bind_address, spec.router_port, image, ports_of(spec))

    def is_made(self, workspace: str) -> bool:
        """Whether anything of a workspace is recorded, and not only where its router listens."""
        return bool(self._open(workspace).records.section(RECORDS))

    def making(self, workspace: str) -> AbstractContextManager[None]:
        """Keep others from making a workspace, or from removing one that is not recorded."""
        make_empty_image(self.host)
        return HostLocks(self.host, workspace).lock("first")

    @contextmanager
    def change(self, desired: DesiredResource, tell: Tell) -> Iterator[None]:
        opened, spec = self._open(desired.id.workspace), desired.spec
        router, before = opened.router, opened.router.listens()
        with opened.content.signed_in():
            image = self._images.runtime(spec, tell)
        after = before.model_copy(update={"host": spec.bind_address, "image": image})
        if spec.outbound_rules:
            after = router.with_egress_port(after)
        with router.given(spec.engine_socket, tell), saved(before, after, router.save):
            yield

    def shut_down(self, workspace: str) -> None:
        opened = self._open(workspace)
        opened.router.autoscaler.remove()  # first: it would start others
        opened.router.web.remove()
        found = self.host.containers(names.selecting(workspace, names.INSTANCE))
        opened.ports.compute.retire("", [names.of(container) for container in found], 5)
        opened.router.remove()

    def remove(self, workspace: str, _tell: Tell = lambda _said: None) -> None:
        opened = self._open(workspace)
        self.shut_down(workspace)
        opened.content.volumes.delete()
        remove_networks(self.host, workspace)
        opened.router.autoscaler.delete()
        opened.router.web.delete()
        opened.records.delete()

    def clear_away(self, workspace: str) -> None:
        """Remove what a first `up` has started."""
        self.remove(workspace)

    def remove_unrecorded(self, workspace: str, _tell: Tell = lambda _said: None) -> None:
        with self.making(workspace):
            if not self.is_made(workspace):
                self.remove(workspace)


def _socket(content: DockerContent) -> str | None:
    return content.workspace().engine_socket


class DockerTarget(Engine):
    """A Docker host as a target."""

    def __init__(self, place: Place) -> None:
        self.docker = DockerPlatform(place)
        super().__init__(self.docker)

    @property
    def images(self) -> ImageStore:
        return self.docker.images

    def meter(self, workspace: str) -> Meter:
        return self.docker.meter(workspace, lambda: running(self._workspace(workspace)))

    def decisions(self, workspace: str) -> Iterator[str]:
        return self.docker.decisions(workspace)

    def alert_states(self, workspace: str) -> States:
        return self.docker.alert_states(workspace)

    def home(self) -> Home:
        host = self.docker.host
        return Home({"engine": host.id} if host.id else {}, str(host))

    @contextmanager
    def way_to(self, _workspace: str, url: str) -> Iterator[Way]:
        router, host = urlsplit(url), self.docker.host
        by_ssh = host.url.startswith("ssh://")
        if router.hostname not in _LOOPBACK or (host.hostname in ("", *_LOOPBACK) and not by_ssh):
            yield Way()
            return
        if not by_ssh:  # here another process may listen there, and would be given the key
            reason = f"it takes requests of {host.hostname} alone"
            remedy = f"run this there, name the host in `target` as ssh://{host.hostname}, or set"
            remedy += " the workspace's bind_address to 0.0.0.0 or an address of that host"
            raise TargetError("reach", f"the router on {url}", reason, remedy)
        tunnel = Tunnel(host.url, router.netloc)
        try:
            yield Way(str(tunnel.socket), tunnel.cause)
        finally:
            tunnel.close()
