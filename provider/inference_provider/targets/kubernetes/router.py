"""The Router of a workspace in a cluster: pods that read the records by themselves.

A client commits a revision of the records, and waits until each pod that takes requests has it in
force (`sync.py`). This module makes the objects of the router too.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import Any

from pydantic import ValidationError

from inference_provider.errors import NotReady, TargetUnreachable
from inference_provider.router.table import Backend, EndpointEntry
from inference_provider.targets.envoy.agent_errors import read
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.account_tokens import with_account
from inference_provider.targets.kubernetes.applied import apply_if_free, delete_ours, foreign
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.exposure import EVERY_KIND
from inference_provider.targets.kubernetes.exposure import named as found_by
from inference_provider.targets.kubernetes.ingress_class import make_way_for_default
from inference_provider.targets.kubernetes.lost_nodes import why_not_ready
from inference_provider.targets.kubernetes.objects import (
    BUDGET,
    DEPLOYMENT,
    INGRESS,
    POD,
    POLICY,
    SERVICE,
    Kind,
    Object,
    kind_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.observed_objects import (
    There,
    altered,
    confining,
    listed_if_allowed,
    named,
    opening,
    told,
)
from inference_provider.targets.kubernetes.pods import is_ending, is_ready
from inference_provider.targets.kubernetes.question_pass import with_pass
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.rivals import rivals_in
from inference_provider.targets.kubernetes.rivals import told as told_rivals
from inference_provider.targets.kubernetes.role_pods import RolePods
from inference_provider.targets.kubernetes.router_manifests import (
    METRICS_NAME,
    RouterSettings,
    egress_service,
    router_objects,
)
from inference_provider.targets.kubernetes.router_questions import (
    WAIT_S,
    OtherRelease,
    RouterQuestions,
)
from inference_provider.targets.kubernetes.router_status import combined, endings_of_all
from inference_provider.targets.kubernetes.together import Together
from inference_provider.targets.kubernetes.whole import KINDS, Whole
from inference_provider.targets.kubernetes.workloads import COUNT
from inference_provider.targets.kubernetes.workspace_manifests import ACCOUNT
from inference_provider.targets.listening import absent
from inference_provider.targets.stopping import refuse_when_stopped
from inference_provider.workspace.corrupt import corrupt
from inference_provider.workspace.logged import CallQuery
from inference_provider.workspace.ports import Tell
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import RouterAddress, RouterStatus

PUBLISH_S = 60.0
"""Longest wait for a pod that is ready and does not say what is in force."""
_POLL_S = 0.25
_STOP_WAIT_S = 30.0
_STOPPED = (DEPLOYMENT, BUDGET)
"""Of a router that was stopped, these are gone."""
_BESIDE = (names.CONTENT, names.SERVICE, names.WEB, "workspace", ACCOUNT)
"""Roles of what is not the router's."""
_SCALED = (names.ROUTER_NAME, names.CONTENT_NAME, names.SERVICE_NAME, names.WEB_NAME)
_SHOWN = 300
_OLDER = "the router runs an older image; it is replaced without a failed request"

Endpoints = tuple[EndpointEntry, ...]


class KubernetesRouter:
    """The router of one workspace."""

    reads_records = True

    def __init__(
        self,
        client: Client,
        records: ClusterRecords,
        beside: Callable[[], Iterable[Object]] = lambda: (),
        whole: Whole | None = None,
        is_outdated: Callable[[str], bool] = lambda _image: False,
    ) -> None:
        """Open it.

        Args:
            client: Its cluster.
            records: Its records.
            beside: Returns what else a workspace consists of before anything is deployed; the
                router answers for that too: of the workspace nothing else can be asked.
            whole: What is there, if somebody else looks at it too.
            is_outdated: Says whether an image of it would be another one now.
        """
        self._is_outdated = is_outdated
        self._beside = beside
        self._client = client
        self._records, self._state = records, State(records)
        self.namespace = records.namespace
        self._external: str | None = None
        self._whole = whole or Whole(client, self.namespace, records.workspace)
        self._questions = RouterQuestions(client, self.namespace)
        self.pods = RolePods(
            client, self.namespace, records.workspace, names.ROUTER, self._own_fault
        )
        self._healthy_now = Together[tuple[str, int], None](self._wait_all_healthy)

    # -- where it is ---------------------------------------------------------------------------

    def settings(self) -> RouterSettings:
        """Return what is chosen. Raises TargetError when the workspace is not there."""
        document = self._records.read(names.ADDRESS, names.ROUTER)
        if document is None:
            raise absent(self._records.workspace)
        try:
            return RouterSettings.model_validate_json(document)
        except ValidationError:
            raise corrupt(self._records.place(names.ADDRESS, names.ROUTER)) from None

    def save(self, settings: RouterSettings) -> None:
        """Remember what is chosen; `apply` makes it so."""
        self._records.put(names.ADDRESS, names.ROUTER, settings.model_dump_json())

    def address(self) -> RouterAddress:
        settings = self.settings()
        inside = f"{names.ROUTER_NAME}.{self.namespace}.svc"
        host = self._balancer() or inside if settings.service == "LoadBalancer" else inside
        inner = f"{f'[{host}]' if ':' in host else host}:{settings.port}"
        return RouterAddress(
            url=settings.exposure.url or f"{self._state.scheme}://{inner}",
            metrics_url=f"http://{METRICS_NAME}.{self.namespace}.svc:{names.METRICS_PORT}",
        )

    def _balancer(self) -> str | None:
        """Return the address of the load balancer; None until the cluster has made one."""
        if self._external is None:
            service = self._client.get(SERVICE, self.namespace, names.ROUTER_NAME) or {}
            given = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or ()
            self._external = next((one.get("ip") or one.get("hostname") for one in given), None)
        return self._external

    def ready_pod(self) -> str:
        """Return the name of a pod that takes requests. Raises TargetUnreachable."""
        pods = self.pods.all()
        ready = sorted(name_of(pod) for pod in pods if is_ready(pod))
        if not ready:
            remedy = "run `inferctl start`" if not pods else self.pods.remedy
            raise TargetUnreachable("reach", "the router", self.pods.why(pods), remedy)
        return ready[0]

    # -- its objects ---------------------------------------------------------------------------

    def _objects(self) -> tuple[Object, ...]:
        return router_objects(self._records.workspace, self.namespace, self.settings())

    def apply(self, tell: Tell = lambda _said: None) -> None:
        """Make its objects what the settings say; pods are replaced one at a time."""
        for one in (with_pass(self._client, one) for one in self._objects()):
            if kind_of(one) == INGRESS:
                make_way_for_default(self._client, one, tell)
            apply_if_free(self._client, with_account(self._client, one), tell)
        self._expose_no_more({kind_of(one) for one in self._objects()})
        if not self.settings().forward_proxy:
            delete_ours(self._client, egress_service(self.namespace))

    def _expose_no_more(self, kept: Collection[Kind] = ()) -> None:
        """Remove what led to the router from outside and is declared no more."""
        for kind in EVERY_KIND:
            if kind not in kept:
                exposed = found_by(kind, self._records.workspace, self.namespace)
                delete_ours(self._client, exposed, if_seen=True)

    def stop(self) -> None:
        """End its pods; its Service stays, and so its address.

        A controller deletes the pods of a Deployment that is gone: no request is taken any more
        only when it has.
        """
        self._delete(_STOPPED)
        until_s = time.monotonic() + _STOP_WAIT_S
        while self.runs() and time.monotonic() < until_s:
            time.sleep(_POLL_S)

    def remove(self) -> None:
        self._expose_no_more()
        self._delete()

    def _delete(self, kinds: Collection[Kind] = ()) -> None:
        every = RouterSettings(image="none", forward_proxy=True)
        for one in reversed(router_objects(self._records.workspace, self.namespace, every)):
            if not kinds or kind_of(one) in kinds:
                delete_ours(self._client, one)

    def roll(self, tell: Tell) -> None:
        """Apply its objects, and wait until every pod is as they say; old ones serve meanwhile.

        Raises:
            NotReady: A new pod does not get ready; says why.
        """
        before = self.pods.deployment()
        self.apply(tell)
        self.pods.wait_rolled(before, tell)

    def ensure_up(self, endpoints: Callable[[], Endpoints]) -> None:
        self.settings()  # refuses a workspace that is not there
        deployment = self.pods.deployment()
        if deployment is not None and not foreign(deployment):
            if any(map(is_ready, self.pods.known())):
                return
        else:
            self.apply()
        self.pods.wait_any()

    def _own_fault(self, pod: Object) -> str:
        try:
            found = self._questions.get(name_of(pod), "revision")
        except TargetUnreachable:
            return "it starts, or does not answer"
        except OtherRelease as other:
            return other.reason
        fault = str(found.get("fault") or "it just became ready")
        silent = "does not answer" in fault  # the API server, to the pod
        there = listed_if_allowed(self._client, self.namespace, POLICY, "") if silent else None
        limits = confining((there or {}).values(), self._records.workspace)
        return fault.split("; check that", maxsplit=1)[0] + limits

    # -- what it serves ------------------------------------------------------------------------

    def publish(self, endpoints: Endpoints) -> None:
        """Commit the edit, and wait until every router serves it: they build the entries too."""
        if not self._questions.fit:  # before they read what this release writes
            self._questions.refuse_others(map(name_of, filter(is_ready, self.pods.all())))
        revision = self._records.commit()
        until_s = time.monotonic() + PUBLISH_S
        served: set[str] = set()
        silent: TargetUnreachable | None = None
        while time.monotonic() < until_s:
            pods = self.pods.all() if silent else self.pods.known()
            ready = {name_of(pod) for pod in pods if is_ready(pod)}
            if not ready:
                break
            found = self._questions.side_by_side(
                ready - served, lambda pod: self._outcome(pod, revision)
            )
            silent = None
            for pod, outcome in found.items():
                if isinstance(outcome, TargetUnreachable):
                    silent = outcome
                else:
                    served.add(pod)
            if silent is None:
                return
            refuse_when_stopped("publish", "the router")
            time.sleep(_POLL_S)
        raise silent or self._silent(pods)

    def _silent(self, pods: Iterable[Object]) -> TargetUnreachable:
        return TargetUnreachable("publish", "the router", self.pods.why(pods), self.pods.remedy)

    def _outcome(self, pod: str, revision: int) -> None:
        """Wait until a pod serves a revision.

        Raises:
            TargetUnreachable: It does not say so in time.
            InferenceError: It refused it.
        """
        found = self._questions.get(pod, f"revision?wait={revision}&timeout_s={WAIT_S}")
        if found["revision"] < revision:
            about = f": {found['fault']}" if found.get("fault") else ""
            reason = f"does not serve revision {revision} of the records after {WAIT_S:.0f} s"
            raise TargetUnreachable(
                "publish", f"router pod {pod}", reason + about, self.pods.remedy
            )
        if found["error"]:
            raise read(found["error"])

    def in_force(self) -> bool:
        """True: a router that does not know what it serves finds that out by itself."""
        return True

    def runs(self) -> bool:
        return any(map(is_ready, self.pods.all()))

    def is_drained(self, deployment: str) -> bool:
        return all(self._answers_of_all("is_drained", deployment=deployment))

    def is_connected(self, backends: Collection[Backend]) -> bool:
        asked = [one.model_dump() for one in backends]
        return any(self._answers_of_all("is_connected", backends=asked))

    def _answers_of_all(self, question: str, **given: Any) -> list[Any]:
        """Ask every pod, also those that end: they may have requests. Skips those that are gone."""
        pods = {name_of(pod): pod for pod in self.pods.all()}

        def ask(pod: str) -> Any:
            return self._questions.ask(pod, question, ends=not is_ready(pods[pod]), **given)

        found = self._questions.side_by_side(pods, ask)
        for pod, answer in found.items():
            if isinstance(answer, TargetUnreachable) and is_ready(pods[pod]):
                raise answer
        return [one for one in found.values() if not isinstance(one, TargetUnreachable)]

    def wait_healthy(self, deployment: str, count: int) -> None:
        try:
            self._healthy_now((deployment, count))
        except NotReady:  # which may be the fault of another one
            self._wait_all_healthy([(deployment, count)])

    def _wait_all_healthy(self, wanted: Sequence[tuple[str, int]]) -> None:
        ready = [name_of(pod) for pod in self.pods.known() if is_ready(pod)]
        given: dict[str, Any] = {"deployments": dict(wanted)}
        found = self._questions.side_by_side(
            ready, lambda pod: self._questions.ask(pod, "wait_healthy", **given)
        )
        silent = [one for one in found.values() if isinstance(one, TargetUnreachable)]
        if len(silent) == len(ready):
            raise silent[0] if silent else self._silent(self.pods.all())

    def calls(self, query: CallQuery) -> list[dict[str, Any]]:
        found = self._answers_of_all("calls", query=query.model_dump(mode="json"))
        return sorted(chain(*found), key=lambda call: str(call["ts"]))[-query.last :]

    def status(self) -> RouterStatus:
        whole = self._whole.last_look()
        altered = self._altered(whole)
        pods = [o for (kind, _), o in self._whole.of(whole, names.ROUTER).items() if kind == POD]
        there = [pod for pod in pods if not is_ending(pod)]
        endings = endings_of_all(there)
        ready, lost = [name_of(pod) for pod in there if is_ready(pod)], self._whole.nodes.of(there)
        if not ready:
            runs = any(kind == DEPLOYMENT for kind, _ in self._whole.of(whole, names.ROUTER))
            why = self.pods.why(there) if runs else "the router does not run"
            fault = "; ".join(altered or [why])
            return RouterStatus(fault=fault, runs=False, endings=endings)
        found = self._questions.side_by_side(ready, self._status_of)
        answers = {pod: answer for pod, answer in found.items() if isinstance(answer, RouterStatus)}
        others = {pod: one for pod, one in found.items() if isinstance(one, OtherRelease)}
        faults = [
            f"router pod {pod}: {others[pod].reason}; {others[pod].remedy}"
            if pod in others
            else f"router pod {pod} does not answer"
            for pod in ready
            if pod not in answers
        ]
        faults += [
            f"router pod {name_of(pod)} is not ready: {why[:_SHOWN]}"
            for pod in there
            if name_of(pod) not in ready and (why := why_not_ready(pod, lost))
        ]
        faults += [_OLDER] if self._is_outdated(self.settings().image) else []
        port = self.settings().metrics_port
        return combined(answers, faults + altered, port).model_copy(update={"endings": endings})

    def _status_of(self, pod: str) -> RouterStatus | OtherRelease:
        try:
            return RouterStatus.model_validate(self._questions.ask(pod, "status"))
        except OtherRelease as other:
            return other

    def _altered(self, whole: There) -> list[str]:
        """Say what of the workspace's own objects is gone or was changed by hand."""
        workspace, wanted = self._records.workspace, named(self._objects())
        beside = named(self._beside())
        there = self._whole.of(whole, names.ROUTER, *_BESIDE)
        roles = {names.WORKSPACE: workspace, names.ROLE: (names.ROUTER, *_BESIDE)}
        for kind in {kind for kind, _ in (*wanted, *beside)} - {*KINDS}:  # a quota, an Ingress
            found = listed_if_allowed(self._client, self.namespace, kind, selector(roles))
            there |= found or {}
            if found is None:  # whether they are as they were is unknown
                wanted, beside = ([one for one in s if one[0] != kind] for s in (wanted, beside))
        if not any((kind, name) in there for kind, name in wanted if kind in _STOPPED):
            return []
        rivals = rivals_in(whole)
        scaled = [said for name in _SCALED for said in told_rivals(rivals.get(name, ()))]
        there |= self._whole.unlabelled((*wanted, *beside), there)
        changed = altered((*wanted, *beside), there, (COUNT,) if scaled else ())
        policies = (one for (kind, _), one in whole.items() if kind == POLICY)
        opened = map(told, opening(policies, workspace))
        return [*scaled, *changed, *opened, *self._records.edited()]
