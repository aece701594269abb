"""What a workspace is beside its router and instances: policies, and what keeps content."""

import secrets
import time
from collections.abc import Container, Mapping
from contextlib import suppress

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.spec import WorkspaceSpec
from inference_provider.spec.cluster import ClusterLimits, ClusterSettings, ClusterStorage
from inference_provider.targets.kubernetes import names, workspace_manifests
from inference_provider.targets.kubernetes.applied import (
    apply_if_free,
    delete_ours,
    is_ours,
    of_another,
)
from inference_provider.targets.kubernetes.bucket_secrets import BUCKET
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.content_manifests import (
    ContentService,
    Volume,
    awaits_credentials,
    claim_fault,
    has_bucket,
)
from inference_provider.targets.kubernetes.content_store import ContentStore
from inference_provider.targets.kubernetes.manager_manifests import ASSIGNMENT
from inference_provider.targets.kubernetes.manager_manifests import KINDS as MANAGERS
from inference_provider.targets.kubernetes.objects import (
    CLAIM,
    DEPLOYMENT,
    SECRET,
    SERVICE_ACCOUNT,
    Object,
    kind_of,
    name_of,
    selector,
)
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.registry_secrets import REGISTRY
from inference_provider.targets.kubernetes.role_pods import RolePods
from inference_provider.workspace.ports import Tell
from inference_provider.workspace.state import State

_CLAIM_S, _POLL_S = 60.0, 0.3
"""Longest wait for a claim to go whose pod ends."""
_BOUNDED = ClusterSettings(quota={"pods": "1"}, limits=ClusterLimits(max={"cpu": "1"}))
"""Settings with a quota and limits, whichever."""


class Beside:
    """Those objects of one workspace.

    Args:
        client: Its cluster.
        records: Its records.
    """

    def __init__(self, client: Client, records: ClusterRecords) -> None:
        self._client = client
        self._records = records
        self._workspace, self._namespace = records.workspace, records.namespace
        self._pods = RolePods(client, self._namespace, self._workspace, names.CONTENT)
        self._store = ContentStore(client, self._namespace, self._workspace)

    def recorded(self) -> WorkspaceSpec:
        """Return what is recorded of the workspace, as far as its objects depend on it."""
        with suppress(TargetError):  # a record that cannot be read names nothing
            return State(self._records).own_spec()
        return WorkspaceSpec()

    def ranged(self) -> tuple[str, ...]:
        """Return the endpoints that have ranges of callers."""
        if not self._records.exists():
            return ()
        records = State(self._records).of_kind(Kind.ENDPOINT)
        return tuple(r.id.name for r in records if r.properties.get("allowed_source_ranges"))

    def objects(
        self, spec: WorkspaceSpec, token: str = "", variables: Mapping[str, str] | None = None
    ) -> tuple[Object, ...]:
        """Return the objects that a spec asks for, in the order in which they are applied."""
        service = ContentService(
            self._workspace,
            self._namespace,
            spec.runtime_image or "",
            volume=_volume(spec),
            token=token,
            variables=variables or {},
            pull_secrets=spec.cluster.image_pull_secrets,
        )
        policies = workspace_manifests.policies(
            self._workspace, self._namespace, lists=bool(spec.outbound_rules)
        )
        accounts = workspace_manifests.service_accounts(
            self._workspace, self._namespace, spec.cluster.service_accounts
        )
        bounds = workspace_manifests.bounds(self._workspace, self._namespace, spec.cluster)
        return (*bounds, *policies, *accounts, *service.objects())

    def refuse_other_claim(self, spec: WorkspaceSpec) -> None:
        """Raise if the claim that is there cannot become what is asked for."""
        volume = _volume(spec)
        claim = volume.size and self._client.get(CLAIM, self._namespace, names.CONTENT_NAME)
        if claim and (fault := claim_fault(claim, volume)):
            raise TargetError("change", f"storage of workspace '{self._workspace}'", *fault)

    def make(self, spec: WorkspaceSpec) -> None:
        """Apply them."""
        token, variables = self._token(), self._variables(spec.cluster.storage)
        self._let_claim_go()
        for one in self.objects(spec, token, variables):
            apply_if_free(self._client, one)
        self._drop_accounts(spec.cluster.service_accounts)
        self._drop_bounds(spec.cluster)

    def _variables(self, storage: ClusterStorage) -> Mapping[str, str]:
        """Return what the connection of the bucket gives, encoded; empty before it is there.

        Raises OwnedByAnother when somebody else's Secret has the name of that.
        """
        if not storage.connection:
            return {}
        found = self._client.get(SECRET, self._namespace, names.bucket(storage.connection))
        if found and not is_ours(found):
            raise of_another(self._client, found)
        variables: Mapping[str, str] = (found or {}).get("data", {})
        return variables

    def _drop_bounds(self, asked: ClusterSettings) -> None:
        """Remove a quota and limits that are declared no more."""
        kept = workspace_manifests.bounds(self._workspace, self._namespace, asked)
        for one in workspace_manifests.bounds(self._workspace, self._namespace, _BOUNDED):
            if kind_of(one) not in map(kind_of, kept):
                delete_ours(self._client, one, if_seen=True)

    def _drop_accounts(self, kept: Container[str]) -> None:
        """Remove service accounts that are declared no more."""
        chosen = selector(names.selecting(self._workspace, workspace_manifests.ACCOUNT))
        for one in self._client.items(SERVICE_ACCOUNT, self._namespace, chosen):
            if name_of(one) not in kept:
                delete_ours(self._client, one)

    def _let_claim_go(self) -> None:
        """End the pod that keeps a claim from going which somebody has deleted: no other gets it.

        What was on it is gone with it, and copied again.
        """
        until_s = time.monotonic() + _CLAIM_S
        about = {"namespace": self._namespace, "name": names.CONTENT_NAME}
        deployment = {"apiVersion": DEPLOYMENT.api, "kind": DEPLOYMENT.name, "metadata": about}
        while claim := self._client.get(CLAIM, self._namespace, names.CONTENT_NAME):
            goes = claim["metadata"].get("deletionTimestamp") and is_ours(claim)
            if not goes or time.monotonic() > until_s:
                return
            delete_ours(self._client, deployment)
            time.sleep(_POLL_S)

    def wait(self, before: Object | None, tell: Tell = lambda _said: None) -> None:
        """Wait until what keeps content is as it was applied.

        Raises:
            NotReady: Its pod does not start; says why.
            TargetUnreachable: Its bucket cannot be used; says why.
        """
        self._pods.wait_rolled(before, tell)
        if self._reaches_bucket():
            self._store.check()

    def renew(self, image: str, tell: Tell) -> None:
        """Have what keeps content use what its bucket's connection gives now.

        Args:
            image: What its pods run.
            tell: Told what is waited for.

        Raises:
            TargetError: As of `wait`.
        """
        before, spec = self.content(), self.recorded()
        self.make(spec.model_copy(update={"runtime_image": spec.runtime_image or image}))
        self.wait(before, tell)

    def _reaches_bucket(self) -> bool:
        """Whether it has a bucket, and has been given its credentials."""
        there = self.content()
        return there is not None and has_bucket(there) and not awaits_credentials(there)

    def clear_bucket(self) -> None:
        """Delete what the workspace keeps in a bucket.

        Raises:
            TargetError: It cannot be deleted.
        """
        if not self._reaches_bucket():
            return
        try:
            self._store.clear()
        except TargetError as fault:
            stays = f"delete Deployment {names.CONTENT_NAME}, and what is in the bucket stays"
            what, at = f"what workspace '{self._workspace}' has in its bucket", str(self._client)
            raise TargetError(
                "delete", what, fault.reason, f"{fault.remedy}; or {stays}", at
            ) from fault

    def content(self) -> Object | None:
        """Return the Deployment that keeps content, as it is now."""
        return self._pods.deployment()

    def remove(self) -> None:
        for one in self.objects(WorkspaceSpec()):
            delete_ours(self._client, one)
        self._drop_accounts(())
        self._drop_bounds(ClusterSettings())
        of_identities = selector(names.selecting(self._workspace, workspace_manifests.IDENTITY))
        self._client.delete_all(SERVICE_ACCOUNT, self._namespace, of_identities)
        of_assignments = selector(names.selecting(self._workspace, ASSIGNMENT))
        for kind in reversed(MANAGERS):
            for one in self._client.items(kind, self._namespace, of_assignments):
                delete_ours(self._client, one)
        secrets_of = ((SECRET, role) for role in (names.CONTENT, REGISTRY, BUCKET))
        for kind, role in (*secrets_of, (CLAIM, names.CONTENT)):
            chosen = selector(names.selecting(self._workspace, role))
            self._client.delete_all(kind, self._namespace, chosen)

    def _token(self) -> str:
        """Return what clients of the content show; recorded, so that a lost Secret is the same."""
        if (kept := self._records.read(names.ADDRESS, names.CONTENT)) is not None:
            return kept.decode()
        token = secrets.token_urlsafe(32)
        self._records.put(names.ADDRESS, names.CONTENT, token)
        return token


def _volume(spec: WorkspaceSpec) -> Volume:
    storage, accounts = spec.cluster.storage, spec.cluster.service_accounts
    account = storage.service_account or ""
    return Volume(
        storage.size or "",
        storage.storage_class,
        url=storage.url or "",
        secret=storage.secret or "",
        connection=storage.connection or "",
        service_account=account,
        identity=workspace_manifests.identity(accounts.get(account)),
    )
