"""The wiring of a cluster as a target: a workspace is a namespace, and what is in it."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from itertools import filterfalse
from typing import NamedTuple

from inference_provider.capabilities import TargetCapabilities
from inference_provider.desired import DesiredResource
from inference_provider.errors import Busy, Fault, TargetError
from inference_provider.spec import DeploymentSpec, WorkspaceSpec
from inference_provider.spec.target import Home, KubernetesPlace, Place
from inference_provider.targets.first_up import Named, first_up, saved
from inference_provider.targets.images import ImageBuilder
from inference_provider.targets.kubernetes import names, snapshot, workspace_manifests
from inference_provider.targets.kubernetes.built_images import BuiltImages, architectures
from inference_provider.targets.kubernetes.capabilities import Asked, kubernetes_capabilities
from inference_provider.targets.kubernetes.classes import (
    KnownNames,
    missing,
    named_faults,
    pull_faults,
    unserved,
)
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content import KubernetesContent
from inference_provider.targets.kubernetes.doctor import Answer, Pulls, answers
from inference_provider.targets.kubernetes.home import home_of
from inference_provider.targets.kubernetes.kept_inventory import KeptInventory, surge_faults
from inference_provider.targets.kubernetes.kept_rules import rule_faults
from inference_provider.targets.kubernetes.kubeconfig import access
from inference_provider.targets.kubernetes.locks import lease_name
from inference_provider.targets.kubernetes.meter import meter_of
from inference_provider.targets.kubernetes.namespaces import is_ending, is_ours_alone, remove_made
from inference_provider.targets.kubernetes.objects import (
    LEASE,
    NAMESPACE,
    POLICY,
    SECRET,
    Object,
    labels_of,
    selector,
)
from inference_provider.targets.kubernetes.observed_objects import kept_by, opening, told
from inference_provider.targets.kubernetes.opened import Opened, wire
from inference_provider.targets.kubernetes.planned_images import PlannedImages
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.refusals import Conflict, Forbidden
from inference_provider.targets.kubernetes.router_manifests import RouterSettings, settings_of
from inference_provider.targets.kubernetes.served_router import ServedRouter
from inference_provider.targets.kubernetes.snapshot import REVISION
from inference_provider.targets.kubernetes.way import way_to
from inference_provider.workspace.alert_states import States
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.measured import Meter, running
from inference_provider.workspace.ports import Ports, Tell, Way
from inference_provider.workspace.state import RECORDS

_STOP_WAIT_S, _POLL_S = 30.0, 0.3
_FIRST = "first"
"""Lock of who makes a workspace."""


class _Chosen(NamedTuple):
    """What is chosen about a workspace: about its router, and about what is beside that."""

    settings: RouterSettings
    spec: WorkspaceSpec


class KubernetesPlatform:
    """Runs workspaces in namespaces of one cluster."""

    def __init__(self, place: Place, engine: Callable[[], ImageBuilder] | None = None) -> None:
        """Open a cluster; `engine` returns what builds images for its workspaces."""
        self._built = BuiltImages(engine or _no_engine, lambda: architectures(self.client))
        self._place = place if isinstance(place, KubernetesPlace) else None
        self._opened: dict[str, Opened] = {}
        self._gpus = KeptInventory(lambda: self.client)
        self._known = KnownNames(lambda: self.client)

    @cached_property
    def client(self) -> Client:
        """The cluster's API; where it is, is read when it is first needed."""
        return Client(access(self._place.context if self._place else None))

    @cached_property
    def home(self) -> Home:
        """Which cluster that is, and which namespace where the place names one."""
        return home_of(self.client, (self._place and self._place.namespace) or "")

    def close(self) -> None:
        """Close the connections to the cluster."""
        if "client" in self.__dict__:
            self.client.close()

    @cached_property
    def capabilities(self) -> TargetCapabilities:
        more = Asked(
            strays=self._strays,
            taken_by=self._taken_by,
            namespace_of_others=self._of_others,
            namespace=self.namespace,
            missing=self._missing,
            unserved=partial(unserved, self._known),
            named_faults=lambda spec: named_faults(
                self.client, self._known, self.namespace(spec.name), spec.cluster
            ),
            images=self.images,
            devices=self._gpus.devices,
            surge_faults=partial(surge_faults, self._gpus, self.namespace),
            rule_faults=partial(rule_faults, known=self._known, namespace=self.namespace),
            groups=self._known.groups,
            recorded=lambda name: self._open(name).beside.recorded(),
            ranged=lambda name: self._open(name).beside.ranged(),
        )
        return kubernetes_capabilities(self._gpus.all, self._gpus.in_use, more)

    def pull_faults(self, spec: WorkspaceSpec) -> Iterator[Fault]:
        """Yield a fault for each Secret of a workspace by which no image can be pulled."""
        named = spec.cluster.image_pull_secrets
        return pull_faults(self.client, self.namespace(spec.name), named)

    def _of_others(self, workspace: str) -> str:
        """Return the namespace of a workspace if it was there before; empty if it is ours."""
        there = self._there(name := self.namespace(workspace))
        return "" if there is None or is_ours_alone(there) else name

    def _missing(self, spec: DeploymentSpec, workspace: WorkspaceSpec | None) -> Iterator[Fault]:
        return missing(spec, workspace, self._known, self.namespace(spec.workspace))

    @cached_property
    def images(self) -> PlannedImages:
        """What is known of images of the cluster's workspaces."""
        return PlannedImages(self._built, self._content_of)

    def _content_of(self, workspace: str) -> KubernetesContent | None:
        opened = self._open(workspace)
        return opened.content if opened.records.exists() else None

    def _strays(self, workspace: str) -> tuple[str, ...]:
        """Return the contexts that a new workspace could be meant for, where none is named.

        A workspace that is there is where it was made, and needs no name.
        """
        found = () if self._place and self._place.context else self.client.access.contexts
        is_there = len(found) <= 1 or self._open(workspace).records.exists()
        return () if is_there else found

    def _taken_by(self, workspace: str) -> str:
        """Return the workspace that the namespace of one that is not there has; empty for none."""
        records = self._open(workspace).records
        with suppress(Forbidden):
            return "" if records.exists() else records.another()
        return ""

    # -- which workspaces there are ------------------------------------------------------------

    @property
    def has_namespace(self) -> bool:
        """Whether the place names one, which is there already."""
        return bool(self._place and self._place.namespace)

    def namespace(self, workspace: str) -> str:
        return (self._place and self._place.namespace) or workspace

    def workspaces(self) -> tuple[str, ...]:
        if self._place and self._place.namespace:
            there = self.client.get(SECRET, self._place.namespace, REVISION)
            return (labels_of(there)[names.WORKSPACE],) if there else ()
        chosen = selector({"app.kubernetes.io/managed-by": names.PREFIX})
        found = filterfalse(is_ending, self.client.items(NAMESPACE, selector=chosen))
        return tuple(sorted(filter(None, (labels_of(one).get(names.WORKSPACE) for one in found))))

    def owners_noted(self) -> Mapping[str, frozenset[str]]:
        """Return the stacks that own something in each workspace, as far as one list says it."""
        own, fields = (self._place and self._place.namespace) or "", f"metadata.name={REVISION}"
        try:
            revisions = self.client.items(SECRET, own, fields=fields)
        except Forbidden:
            return {}
        found = ((labels_of(one).get(names.WORKSPACE, ""), one) for one in revisions)
        return {
            name: owners
            for name, one in found
            if one["metadata"]["namespace"] == self.namespace(name)
            and (owners := snapshot.owners_noted(one)) is not None
        }

    def ports(self, workspace: str) -> Ports:
        return self._open(workspace).ports

    def router(self, workspace: str) -> ServedRouter:
        return self._open(workspace).router

    def _open(self, workspace: str) -> Opened:
        if workspace not in self._opened:
            records = ClusterRecords(self.client, self.namespace(workspace), workspace)
            made = wire(self.client, records, self._gpus.all, self._built, self._known.groups)
            self._opened.setdefault(workspace, made)
        return self._opened[workspace]

    # -- a workspace comes, changes and goes ---------------------------------------------------

    @contextmanager
    def first_up(self, desired: DesiredResource, tell: Tell) -> Iterator[bool]:
        with first_up(Named(self, desired, tell)) as is_first:
            yield is_first
        self.router(desired.id.workspace).web.wait(tell)  # nobody else waits for it

    def start(self, workspace: str, spec: WorkspaceSpec, tell: Tell) -> None:
        """Start what a workspace is before it is recorded."""
        opened = self._open(workspace)
        opened.records.make()
        opened.beside.refuse_other_claim(spec)
        spec = self._with_image(workspace, spec, "", tell)
        opened.beside.make(spec)
        opened.router.save(settings_of(spec))
        opened.router.ensure_up(lambda: ())
        opened.beside.wait(None, tell)

    def _with_image(
        self, workspace: str, spec: WorkspaceSpec, kept: str, tell: Tell
    ) -> WorkspaceSpec:
        """Return a workspace with the image of its own pods, which is built if it names none."""
        wanted = self._built.runtime(spec)
        with self._open(workspace).content.signed_in():
            image = self._built.made(wanted, kept, tell) if wanted else spec.runtime_image
        return spec.model_copy(update={"runtime_image": image})

    def _close_instances(self, workspace: str, tell: Tell) -> None:
        """Remove policies of others that let somebody in to instances, where the namespace is ours.

        In one of other people's they may be meant for more than instances, and are only told.
        """
        namespace = self.namespace(workspace)
        if is_ours_alone(self._there(namespace)):
            for one in opening(self.client.items(POLICY, namespace), workspace):
                self.client.delete_like(one)
                tell(f"removed: {told(one)}")

    def is_made(self, workspace: str) -> bool:
        """Whether anything of a workspace is recorded, and not only where its router is."""
        return bool(self._open(workspace).records.section(RECORDS))

    @contextmanager
    def making(self, workspace: str) -> Iterator[None]:
        """Keep others from making a workspace, or from removing one that is not recorded."""
        made = self._make_namespace(workspace)
        try:
            records = self._open(workspace).records
            with records.lock(_FIRST):
                records.refuse_another()
                records.hold_made()
                yield
        finally:
            if made:
                with suppress(TargetError):  # the first error is the one to report
                    self._remove_unused_namespace(workspace)

    def _make_namespace(self, workspace: str) -> bool:
        """Make the namespace of a workspace; return whether it was not there."""
        name = self.namespace(workspace)
        until_s = time.monotonic() + _STOP_WAIT_S
        while (there := self._there(name)) and is_ending(there):
            if time.monotonic() > until_s:
                reason = f"its namespace '{name}' is still being deleted{kept_by(there)}"
                raise Busy("make", f"workspace '{workspace}'", reason, "run this again later")
            time.sleep(_POLL_S)
        if there is not None:
            return False
        try:
            self.client.create(workspace_manifests.namespace(workspace, name))
        except Conflict:
            return False
        return True

    def _remove_unused_namespace(self, workspace: str) -> None:
        """Remove a namespace that was made in vain, unless somebody else uses it by now."""
        name = self.namespace(workspace)
        if not self.is_made(workspace) and not self.client.get(LEASE, name, lease_name(_FIRST)):
            self.client.delete(NAMESPACE, "", name)

    @contextmanager
    def change(self, desired: DesiredResource, tell: Tell) -> Iterator[None]:
        opened, spec = self._open(desired.id.workspace), desired.spec
        opened.records.take_over()
        recorded, saved_ = opened.beside.recorded(), opened.router.settings()
        if recorded.runtime_image is None:  # it was built
            recorded = recorded.model_copy(update={"runtime_image": saved_.image})
            before = _Chosen(saved_, recorded)
        else:
            before = _Chosen(settings_of(recorded), recorded)
        opened.beside.refuse_other_claim(spec)
        spec = self._with_image(desired.id.workspace, spec, saved_.image, tell)
        last = settings_of(spec)
        # while the old ranges count, pods must see who calls
        shows = last.shows_callers or before.settings.shows_callers
        after = _Chosen(last.model_copy(update={"shows_callers": shows}), spec)
        self._close_instances(desired.id.workspace, tell)

        def put(chosen: _Chosen) -> None:
            """Apply the router first: of its pods the old ones serve until new ones do."""
            opened.put(*chosen, tell if chosen is after else None)

        with saved(before, after, put):
            yield
        if after.settings != last:
            opened.router.save(last)
            opened.router.apply()
        opened.router.web.wait(tell)

    def shut_down(self, workspace: str) -> None:
        opened = self._open(workspace)
        opened.router.stop_companions()  # first: they would go on with what they do
        opened.compute.end_all(_STOP_WAIT_S)
        opened.router.stop()

    def remove(self, workspace: str, tell: Tell = lambda _said: None) -> None:
        self.clear_away(workspace)
        namespace = self.namespace(workspace)
        if is_ours_alone(self._there(namespace)):
            remove_made(self.client, namespace, tell)

    def clear_away(self, workspace: str) -> None:
        """Remove all of a workspace but its namespace."""
        opened = self._open(workspace)
        self.shut_down(workspace)
        try:
            opened.beside.clear_bucket()
        except TargetError:
            if self.is_made(workspace):  # else it may be what kept it from being made
                raise
        opened.router.remove()
        opened.beside.remove()
        opened.records.delete()

    def _there(self, namespace: str) -> Object | None:
        """Return a namespace; who may use one need not be allowed to read it."""
        try:
            return self.client.get(NAMESPACE, "", namespace)
        except Forbidden:
            about = {"name": namespace, "labels": {}}
            return {"apiVersion": "v1", "kind": "Namespace", "metadata": about, "status": {}}

    def remove_unrecorded(self, workspace: str, tell: Tell = lambda _said: None) -> None:
        namespace = self._there(self.namespace(workspace))
        if namespace is None or self._open(workspace).records.another():
            return
        with self.making(workspace):
            if not self.is_made(workspace):
                self.remove(workspace, tell)


class KubernetesTarget(Engine):
    """A cluster as a target."""

    def __init__(self, place: Place, engine: Callable[[], ImageBuilder] | None = None) -> None:
        self.kubernetes = KubernetesPlatform(place, engine)
        super().__init__(self.kubernetes)

    def home(self) -> Home:
        return self.kubernetes.home

    def meter(self, workspace: str) -> Meter:
        platform, found = self.kubernetes, partial(running, self._workspace(workspace))
        return meter_of(platform.client, workspace, platform.namespace(workspace), found)

    def alert_states(self, workspace: str) -> States:
        return self.kubernetes.router(workspace).service.alerts.states()

    def owned_by(self, stack: str, among: Collection[str]) -> tuple[str, ...]:
        noted = self.kubernetes.owners_noted()
        unknown = [name for name in among if name not in noted]
        known = (name for name in among if stack in noted.get(name, ()))
        return (*known, *super().owned_by(stack, unknown))

    def doctor(self, space: WorkspaceSpec) -> Iterator[Answer]:
        """Yield whether the cluster is fit for a workspace."""
        platform = self.kubernetes
        image = space.runtime_image or platform.images.router_of(space.name)
        place, own = platform.namespace(space.name), not platform.has_namespace
        pulls = Pulls(space.cluster.image_pull_secrets, partial(platform.pull_faults, space))
        yield from answers(platform.client, place, image, may_make=own, pulls=pulls)

    @contextmanager
    def way_to(self, workspace: str, url: str) -> Iterator[Way]:
        platform = self.kubernetes
        with way_to(platform.client, platform.router(workspace), url) as way:
            yield way


def _no_engine() -> ImageBuilder:
    raise TargetError("build", "an image", "nothing builds images here", "name images")
