"""One desired resource -> recorded, published and running, whether it is new or changed.

`engine.py` checks who may do it, and writes the journal; `rollout.py` changes instances.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

from inference_provider.access import Assignment, no_manager, roles_with
from inference_provider.compare import changes_to, heaviest
from inference_provider.desired import DesiredResource
from inference_provider.errors import CapabilityMissing, Fault, SecretNotRead, TargetError
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.ownership import record_of
from inference_provider.refusals import Refusal, at_target
from inference_provider.router.build import READ
from inference_provider.spec import (
    AutoscaleRuleSpec,
    ChangeClass,
    DeploymentSpec,
    SpecModel,
    WorkspaceSpec,
)
from inference_provider.spec.connection import contents_of
from inference_provider.spec.tls import TlsSettings
from inference_provider.workspace.bucket_credentials import (
    bucket_settled,
    given_to_bucket,
    refuse_without_credentials,
    storage_in,
)
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.credentials import settle
from inference_provider.workspace.dependencies import refuse_taken_from_others, refuse_unmet
from inference_provider.workspace.desk import forget_tokens
from inference_provider.workspace.injection import outdated, refuse_misfit, refuse_taken_away
from inference_provider.workspace.kept_alerts import put_webhooks
from inference_provider.workspace.kept_shift import Phase, Shift
from inference_provider.workspace.kept_tls import KeptTls
from inference_provider.workspace.logins import settle_login
from inference_provider.workspace.observe import limits_text
from inference_provider.workspace.observed_split import split_text
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.ports import Platform, Progress
from inference_provider.workspace.removal import sweep
from inference_provider.workspace.rights import (
    own_roles,
    refuse_lacking_roles,
    refuse_unknown_role,
    settle_manager,
    settle_managers,
)
from inference_provider.workspace.rolling import ForEach, roll_recorded
from inference_provider.workspace.rollout import Rollout
from inference_provider.workspace.secret_store import not_read
from inference_provider.workspace.shifts import settle as settle_shift
from inference_provider.workspace.state import ROUTER, TLS

_ROLLING = ChangeClass.ROLLING
"""What a change of a workspace does to all that runs in it."""


def _nothing() -> None:
    pass


class Creation:
    """Makes and changes resources of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        platform: Platform,
        actor: Actor,
        progress: Progress,
        for_each: ForEach,
    ) -> None:
        self._workspace = workspace
        self._ports = workspace.ports
        self._state = workspace.state
        self._platform = platform
        self._actor = actor
        self._progress = progress
        self._for_each = for_each
        self._rollout = Rollout(workspace, actor, progress)
        self._replaced: Record | None = None

    def run(self, desired: DesiredResource) -> Record | None:
        """Make a resource what is desired; undone when it raises.

        What needs no more than its record has no step of its own.

        Returns:
            The record that this replaced.

        Raises:
            TargetError: Something that it depends on is not there.
        """
        {
            (Kind.WORKSPACE, ""): self._make_workspace,
            (Kind.CONNECTION, ""): self._make_connection,
            (Kind.MODEL, ""): self._make_asset,
            (Kind.ENVIRONMENT, ""): self._make_asset,
            (Kind.IDENTITY, ""): self._make_identity,
            (Kind.ROLE_ASSIGNMENT, ""): self._make_assignment,
            (Kind.ENDPOINT, "online"): self._make_endpoint,
            (Kind.DEPLOYMENT, "online"): self._make_deployment,
            (Kind.TRAFFIC, ""): self._make_traffic,
            (Kind.AUTOSCALE_RULE, ""): self._make_rule,
        }.get((desired.id.kind, desired.variant), self._make_record)(desired)
        return self._replaced

    def _save(
        self,
        desired: DesiredResource,
        publish: Publish | None = None,
        also: Callable[[], None] = _nothing,
        then: Callable[[], None] = _nothing,
    ) -> None:
        """Record a change, and publish it if the router is built from it; undone when refused.

        Both are part of the edit: `also` before the record is there, `then` when it is.
        """
        if publish is None:
            routed = (desired.id.kind, desired.variant) in READ
            publish = Publish.ALWAYS if routed else Publish.NEVER

        def edit() -> None:
            self._workspace.refuse_absent()  # it may have been deleted meanwhile
            refuse_unmet(self._state, desired)
            refuse_taken_from_others(self._state, desired)
            refuse_unknown_role(self._state, desired)
            before = self._state.record(desired.id)
            record = record_of(desired, before, self._actor, self._workspace.clock.now())
            self._replaced = before
            also()
            self._state.put_record(record, desired.placeholders)
            then()

        self._workspace.convergence.change(edit, publish)

    def _make_workspace(self, desired: DesiredResource) -> None:
        def tell(said: str) -> None:
            self._progress(desired.id, said)

        def settle_rest() -> None:
            self._settle_certificate(desired)
            if desired.spec.service is None:
                forget_tokens(self._state)
            if self._ports.identities is not None:  # what its own roles allow may change
                own = desired.properties.get("roles") or {}
                settle_managers(self._state, self._ports.identities, own)

        with self._platform.first_up(desired, tell) as is_first:
            if is_first:
                self._save(desired, Publish.STARTED, settle_rest)
        if not is_first:
            self._mend_certificate(desired)
            user = self._ports.bucket_user
            with bucket_settled(self._state, user, desired), self._platform.change(desired, tell):
                self._save(desired, Publish.ALWAYS, settle_rest)
            if user:
                user.keep_only(storage_in(desired.properties).connection)
        sweep(self._workspace)
        if self._replaced and heaviest(changes_to(desired, self._replaced.properties)) == _ROLLING:
            roll_recorded(self._workspace, self._actor, self._progress, self._for_each)
        self._progress(desired.id, f"router ready on {self._ports.router.address().url}")

    def _make_connection(self, desired: DesiredResource) -> None:
        """Keep a connection, and have what runs with other values of it start again."""
        secrets = self._state.secrets
        refuse_misfit(self._state, desired)
        try:
            contents = secrets.fetched(contents_of(desired.spec))
        except SecretNotRead as said:
            raise not_read(said, "read the credentials of", desired.id) from None

        users, name = self._ports.registry_users, desired.id.name

        def keep() -> None:
            refuse_taken_away(self._state, desired)
            secrets.put(contents)
            settle_login(users, name, contents)

        tell = partial(self._progress, desired.id)
        with given_to_bucket(self._state, self._ports.bucket_user, desired, contents, tell):
            try:
                self._save(desired, also=keep)
            except BaseException:
                with suppress(SecretNotRead, TargetError):  # the first error is the one to report
                    settle_login(users, name, secrets.read(name))
                raise
        tell("read" if "stored" in contents else "kept")
        self._roll_outdated(desired)

    def _roll_outdated(self, desired: DesiredResource) -> None:
        """Start what runs with earlier values of a connection again."""
        with self._state.secrets.still():
            stale, left = outdated(self._state, desired.id)
        for deployment, fault in left.items():
            self._progress(deployment, f"left as it runs: {fault}")
        roll_recorded(
            self._workspace,
            self._actor,
            self._progress,
            self._for_each,
            lambda record: record.id in stale,
        )

    def _settle_certificate(self, desired: DesiredResource) -> None:
        """Keep what the router is to show, and nothing where it speaks plain HTTP."""
        wanted: TlsSettings | None = desired.spec.tls
        if wanted is None:
            self._state.drop_tls()
            return
        # cryptography takes 30 ms, and most workspaces need none of it
        from inference_provider.workspace.certificates import kept_for  # noqa: PLC0415

        before = self._state.readable(TLS, ROUTER, KeptTls.model_validate_json)
        address = self._ports.router.address()
        hosts = (urlsplit(address.url).hostname or "", *address.beside)
        now = self._workspace.clock.now()
        kept = kept_for(wanted, before, desired.id.workspace, hosts, now)
        if kept != before:
            self._state.put_tls(kept)

    def _mend_certificate(self, desired: DesiredResource) -> None:
        """Write a certificate that is gone: without it no router starts."""
        there = self._state.readable(TLS, ROUTER, KeptTls.model_validate_json)
        before = self._state.record(desired.id)
        if there is None and desired.spec.tls and before and before.properties.get("tls"):
            settle = partial(self._settle_certificate, desired)
            self._workspace.convergence.change(settle, Publish.NEVER)

    def _make_asset(self, desired: DesiredResource) -> None:
        self._keep(desired)
        self._save(desired)
        self._progress(desired.id, "kept" if desired.id.kind == Kind.MODEL else "built")

    def _make_identity(self, desired: DesiredResource) -> None:
        def keep() -> None:
            if self._ports.identities is not None:
                self._ports.identities.keep(desired.id.name, desired.spec.annotations)

        self._save(desired, also=keep)
        self._progress(desired.id, "recorded")

    def _make_assignment(self, desired: DesiredResource) -> None:
        """Record an assignment, and let its identity deploy by itself where its role says so."""
        identities, given = self._ports.identities, Assignment.of(desired.properties)
        if identities is None:
            return self._make_record(desired)

        def entitle() -> None:
            roles = roles_with(own_roles(self._state, desired.id.workspace))
            manages = not no_manager(given, roles)
            settle_manager(identities, given.name, given.principal.name if manages else None)

        try:
            self._save(desired, also=entitle)
        except BaseException:
            if self._state.record(desired.id) is None:
                with suppress(TargetError):  # the first error is the one to report
                    identities.withdraw(given.name)
            raise
        return self._progress(desired.id, "recorded")

    def _make_endpoint(self, desired: DesiredResource) -> None:
        def secrets() -> None:
            settle(self._state, desired, self._replaced)
            put_webhooks(self._ports.records, desired.id.name, desired.spec.alert_webhooks)

        def watch() -> None:
            before = self._replaced.properties.get("alerts") if self._replaced else None
            asked = desired.properties.get("alerts")
            if asked and asked != before and self._ports.keep_rules is not None:
                self._ports.keep_rules()  # what else changes of an endpoint needs nobody to watch

        if space := self._space():
            faults = self._platform.capabilities.endpoint_faults(desired.spec, space)
            self._refuse(desired.id, faults)
        self._save(desired, also=secrets, then=watch)
        self._progress(desired.id, "served")

    def _make_deployment(self, desired: DesiredResource) -> None:
        refuse_unmet(self._state, desired)  # before anything is copied or started
        refuse_lacking_roles(self._state, self._ports.content, desired, self._actor)
        if rule := self._state.rule_of(desired.id):
            self._refuse_unfollowed(desired.id, rule, desired.spec)
        self._keep(desired)
        self._replaced = self._rollout.run(desired)

    def _make_traffic(self, desired: DesiredResource) -> None:
        state, records, now = self._state, self._ports.records, self._workspace.clock.now()
        shift: Shift | None = None
        if not desired.at_once:
            self._refuse_unmoved(desired)

        def begin() -> None:
            nonlocal shift
            shift = settle_shift(state, records, desired, self._replaced, self._actor, now)
            if shift and shift.phase == Phase.MOVING and self._ports.keep_rules is not None:
                self._ports.keep_rules()  # a split that nobody moves does not begin its way

        self._save(desired, also=begin)
        if shift:
            said = f"{shift.told(int(now.timestamp() // 60))}: {split_text(shift.in_force, {})}"
        else:
            said = split_text(desired.spec.traffic, desired.spec.mirror_traffic)
        self._progress(desired.id, said)

    def _make_rule(self, desired: DesiredResource) -> None:
        """Record a rule and have its deployment follow it, or as it was when that fails."""
        deployment = desired.id.model_copy(update={"kind": Kind.DEPLOYMENT})
        self._refuse_unfollowed(desired.id, desired.spec, self._state.blueprint(desired.id.name))
        self._save(desired)
        try:
            if self._ports.keep_rules is not None:
                self._ports.keep_rules()
            self._rollout.run_recorded(deployment)
        except BaseException:
            self._workspace.convergence.take_back(lambda: self._put_back(desired.id))
            raise
        self._progress(desired.id, limits_text(desired.properties))

    def _refuse_unfollowed(
        self, resource: ResourceId, rule: AutoscaleRuleSpec, deployment: SpecModel | None
    ) -> None:
        """Refuse a rule that its deployment cannot follow; a plan knows both and has done so."""
        can = self._platform.capabilities
        of = deployment if isinstance(deployment, DeploymentSpec) else None
        self._refuse(resource, can.rule_faults(rule, of, self._space()))

    def _refuse_unmoved(self, desired: DesiredResource) -> None:
        """Refuse a split that nobody could move; a plan that knows its workspace has done so."""
        can = self._platform.capabilities
        self._refuse(desired.id, can.traffic_faults(desired.spec, self._space()))

    def _space(self) -> WorkspaceSpec | None:
        """Return the workspace, where what can be done depends on it."""
        return self._state.own_spec() if self._platform.capabilities.engine_socket else None

    def _refuse(self, resource: ResourceId, faults: Iterable[Fault]) -> None:
        if found := [*faults]:
            place = at_target(resource, self._platform.capabilities)
            refused = (str(Refusal(place, fault)) for fault in found)
            raise CapabilityMissing("apply", str(resource), "; ".join(refused))

    def _put_back(self, resource: ResourceId) -> None:
        if self._replaced is None:
            self._state.drop_record(resource)
        else:
            self._state.put_record(self._replaced, self._state.placeholders(resource))

    def _make_record(self, desired: DesiredResource) -> None:
        self._save(desired)
        self._progress(desired.id, "recorded")

    def _keep(self, desired: DesiredResource) -> None:
        refuse_without_credentials(self._state, desired)
        self._ports.content.keep(desired, lambda text: self._progress(desired.id, text))
