"""What the workspace service gives to whom: tokens and keys of endpoints, by the roles of who asks.

A caller shows a token of the workspace itself, or one of its identity provider. No decision is
kept: each request is decided from the records as they are then.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, get_args

from inference_provider.access import Decision, Principal, PrincipalKind, Scope, decide
from inference_provider.errors import Fault, SpecError, TargetError, at_most
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.printable import one_line
from inference_provider.role_needs import Grants
from inference_provider.router.scorers import provider_check
from inference_provider.router.table import ProviderCheck, TokenCheck
from inference_provider.spec.roles import LIST_KEYS, READ_ENDPOINT, TOKEN
from inference_provider.workspace import credentials
from inference_provider.workspace.bearer import (
    LONGEST_BYTES,
    Takes,
    Unproven,
    claims_of,
    issuer_of,
)
from inference_provider.workspace.convergence import Publish
from inference_provider.workspace.kept_keys import Keys
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.signing import SigningKeys
from inference_provider.workspace.state import SIGNING, State
from inference_provider.workspace.subjects import (
    incarnation,
    resource_of,
    settled_incarnation,
)
from inference_provider.workspace.tokens import (
    DEFAULT_LIFETIME,
    IssuedToken,
    is_pair,
    issue,
    new_signing_key,
)

USUAL_LIFETIME, LONGEST_LIFETIME = timedelta(hours=8), timedelta(days=90)
"""Of a token of the workspace itself."""
LONGEST_GIVEN = timedelta(hours=1)
"""Of an endpoint's token that is given here: who loses a role keeps what was given until then."""
_SIGNING = "_workspace"
"""Names the workspace's own keys among the signing keys of endpoints; none of these has a `_`."""
_REVOKED = "revoked"
_SINCE = "incarnation"
"""The claim that says which identity of a name is meant."""
_ID = re.compile(r"[0-9a-f]{32}")
_ISSUE, _COMMAND = "issue workspace token", "workspace service"
_LONGEST_NAME = 200
"""Of a caller: two names that begin alike would be one in the journal and in a model's requests."""
_GROUPS_TOLD = 20
"""Of a token, in the journal; the rest are counted."""

Fetched = Callable[[str], str]
"""The keys that were last fetched from a URL; empty where there are none."""


class NotAllowed(Exception):
    """The caller may not do this; the text is for the owner, and not for the caller."""


class Caller(NamedTuple):
    """Who asks, as a token proves it."""

    principal: Principal
    groups: tuple[str, ...]
    expires: datetime
    token: str
    """The id of the token; empty where a provider gave it none."""
    by_provider: bool = False
    """Whether the token is one of the identity provider."""

    @property
    def actor(self) -> Actor:
        """Who records and the journal say it was; a router's log names the holder of a token so."""
        kind, name = self.principal.kind, self.principal.name
        # a user's own name may look like another kind's
        plain = kind == "user" and name.partition(":")[0] not in get_args(PrincipalKind)
        return Actor(user=one_line(name if plain else f"{kind}:{name}"), command=_COMMAND)


class Desk:
    """What one workspace gives to callers, and by which tokens it knows them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._state = workspace.state
        self._records = workspace.ports.records
        self.id = ResourceId.of_workspace(self._records.workspace)

    # -- tokens of the workspace itself ----------------------------------------------------------

    def issue(
        self, who: Principal, groups: tuple[str, ...], lifetime: timedelta, actor: Actor
    ) -> IssuedToken:
        """Return a token by which the workspace service knows somebody.

        Raises:
            SpecError: The lifetime is too short or too long, or a name, or there are too many.
            TargetError: The workspace has no service, or its key cannot be read; or there is no
                such identity.
        """
        credentials.refuse_lifetime(lifetime, LONGEST_LIFETIME, self.id)
        fields = {"principal": who.name, **{f"group {n}": one for n, one in enumerate(groups, 1)}}
        if unusable := [name for name, text in fields.items() if not _is_name(text)]:
            reason = f"a name has 1 to {_LONGEST_NAME} letters, all of which can be written down"
            raise SpecError(tuple(Fault(one, reason) for one in unusable), str(self.id))

        def settled(there: SigningKeys | None) -> SigningKeys:
            return there or SigningKeys(newer=new_signing_key())

        keys, since = self._settle("make a token of", settled, who)
        more = {"principal_type": who.kind, "groups": list(groups), _SINCE: since}
        now = self._workspace.clock.now()
        issued = issue(_check(self.id, keys), keys, who.name, now, lifetime, more=more)
        if len(issued.value) > LONGEST_BYTES:
            reason = f"a token that names {len(groups)} is longer than one that is taken"
            raise SpecError((Fault("groups", reason, "name fewer"),), str(self.id))
        also = f" in {', '.join(at_most(groups, _GROUPS_TOLD))}" if groups else ""
        why = f"{issued.id} for {who}{also}, until {issued.expires:%Y-%m-%d %H:%M} UTC"
        self._workspace.note_first(self.id, actor, _ISSUE, why=one_line(why))
        return issued

    def revoke(self, token: str, actor: Actor) -> bool:
        """Have one token count no more, from now on; return whether the journal knows it.

        It need not: a disk may have been full, and who cuts the journal takes nobody's right.

        Raises:
            TargetError: No token has such an id.
        """
        if not _ID.fullmatch(token):
            reason = f"'{one_line(token)[:64]}' is no id, which has 32 of the letters 0-9 and a-f"
            remedy = "`inferctl journal` tells the ids"
            raise TargetError("revoke", f"a token of workspace '{self.id.name}'", reason, remedy)
        issued = (one.why for one in self._records.journal() if one.action == _ISSUE)
        is_known = any(why.startswith(token) for why in issued)
        now = self._workspace.clock.now()

        def edit() -> None:
            for name, until in self._state.section(_REVOKED, _time).items():
                if until <= now:
                    self._records.drop(_REVOKED, name)
            self._records.put(_REVOKED, token, (now + LONGEST_LIFETIME).isoformat())

        self._workspace.convergence.change(edit, Publish.NEVER)
        self._workspace.note(self.id, actor, "revoke workspace token", why=token)
        return is_known

    def rotate(self, actor: Actor) -> None:
        """Replace the key that signs them; the key before counts until the next rotation.

        Raises:
            TargetError: The workspace has no service, or its key cannot be read.
        """

        def fresh(there: SigningKeys | None) -> SigningKeys:
            key = new_signing_key()
            return there.rotated(key) if there else SigningKeys(newer=key)

        self._settle("rotate the signing key of", fresh)
        self._workspace.note(self.id, actor, "rotate signing key")

    def _settle(
        self,
        operation: str,
        wanted: Callable[[SigningKeys | None], SigningKeys],
        who: Principal | None = None,
    ) -> tuple[SigningKeys, str]:
        """Have the keys that sign be as they must; it is decided while nobody else changes them.

        Return them, and the incarnation of an identity.
        """
        self._workspace.refuse_absent()
        found: list[tuple[SigningKeys, str]] = []

        def edit() -> None:
            self._refuse_without_service(operation)
            keys = wanted(self._signing(operation))
            subject = resource_of(who, self.id.name) if who else None
            if subject and subject.name not in self._state.recorded(subject.kind):
                raise TargetError("find", str(subject), "it is not there")
            since = settled_incarnation(self._records, subject) if subject else ""
            self._state.put_signing(_SIGNING, keys)
            found.append((keys, since))

        self._workspace.convergence.change(edit, Publish.NEVER)
        return found[-1]

    def _signing(self, operation: str) -> SigningKeys | None:
        """Return the keys that sign; None where there are none yet. Raises where others are lost.

        Raises:
            TargetError: They cannot be read, and tokens that they signed may be in use.
        """
        keys = self._keys(operation)
        if keys is not None and not is_pair(keys.newer):
            raise self._lost(operation)
        return keys

    def _keys(self, operation: str) -> SigningKeys | None:
        try:
            return self._state.document(SIGNING, _SIGNING, SigningKeys.model_validate_json)
        except TargetError:
            raise self._lost(operation) from None

    def _lost(self, operation: str) -> TargetError:
        place = self._records.place(SIGNING, _SIGNING)
        reason = f"its signing key in {place} cannot be read"
        remedy = (
            "restore that file; once it is moved away, `inferctl access token` makes a new key, and"
            " no token of before counts"
        )
        return TargetError(operation, str(self.id), reason, remedy)

    def _refuse_without_service(self, operation: str) -> None:
        if not self._state.of_workspace("service"):
            remedy = "declare `service: {port: 18443}` of it, and apply that"
            reason = "it has no service that would take one"
            raise TargetError(operation, str(self.id), reason, remedy)

    # -- who asks ----------------------------------------------------------------------------------

    def caller(self, token: str, fetched: Fetched) -> Caller:
        """Return whom a token stands for.

        Raises:
            Unproven: It does not count.
            TargetError: What tells that cannot be read.
        """
        now, issuer = self._workspace.clock.now(), issuer_of(token)
        if issuer == _issuer(self.id):
            own = _check(self.id, self._keys("check a token of"))
            claims = claims_of(token, Takes(own.issuer, (own.audience,), own.jwks), now)
            return self._known(_by_own(claims), claims, now)
        if issuer and (check := self.provider()) and issuer == check.issuer:
            jwks = fetched(check.jwks_uri) if check.jwks_uri else check.jwks
            takes = Takes(check.issuer, check.audiences, jwks)
            return _by_provider(claims_of(token, takes, now), check)._replace(by_provider=True)
        raise Unproven("of another issuer")

    def provider(self) -> ProviderCheck | None:
        """Return which tokens of an identity provider count."""
        return provider_check(self._state.of_workspace("identity_provider"))

    def _known(self, caller: Caller, claims: Mapping[str, Any], now: datetime) -> Caller:
        until = self._state.document(_REVOKED, caller.token, _time) if caller.token else None
        if until and until > now:
            raise Unproven("it was revoked")
        subject = resource_of(caller.principal, self.id.name)
        since = incarnation(self._records, subject) if subject else ""
        if subject and (not since or claims.get(_SINCE) != since):
            raise Unproven(f"{caller.principal} of that time was deleted")
        return caller

    def decide(self, caller: Caller, action: str, scope: Scope) -> Decision:
        """Decide by the role assignments and roles of this moment."""
        grants = self._grants()
        return decide(
            caller.principal,
            caller.groups,
            action,
            scope,
            assignments=grants.assignments,
            roles=grants.roles,
        )

    def _grants(self) -> Grants:
        space = self._state.own_record()
        given = self._state.of_kind(Kind.ROLE_ASSIGNMENT)
        return Grants.of((one.properties for one in given), space.properties if space else {})

    def refuse(self, caller: Caller, action: str, scope: Scope) -> None:
        """Raise NotAllowed where a caller may not do this."""
        found = self.decide(caller, action, scope)
        if not found.allowed:
            raise NotAllowed(found.reason)

    # -- what is given -----------------------------------------------------------------------------

    def token(
        self, caller: Caller, endpoint: str, lifetime: timedelta = DEFAULT_LIFETIME
    ) -> IssuedToken:
        """Return a token of an endpoint.

        Raises:
            NotAllowed: By no role of the caller; said before it is looked whether it is there.
            SpecError: The lifetime is too short or too long.
            TargetError: It is not there, or takes no tokens of its own.
        """
        self.refuse(caller, TOKEN, Scope.endpoint(endpoint))
        id_ = self._endpoint(endpoint)
        credentials.refuse_lifetime(lifetime, LONGEST_GIVEN, id_)
        issued = credentials.token(self._workspace, id_, caller.actor, lifetime)
        self._workspace.note_first(id_, caller.actor, "issue token")
        return issued

    def keys(self, caller: Caller, endpoint: str) -> Keys:
        """Return both keys of an endpoint; raises as `token` does."""
        self.refuse(caller, LIST_KEYS, Scope.endpoint(endpoint))
        id_ = self._endpoint(endpoint)
        keys = self._state.keys(endpoint)
        if keys is None:
            reason = "it has none: it takes tokens, or its keys are gone"
            raise TargetError("show the keys of", str(id_), reason)
        self._workspace.note_first(id_, caller.actor, "read keys")
        return keys

    def endpoints(self, caller: Caller) -> Iterator[Record]:
        """Yield the records of the endpoints that a caller may see."""
        grants = self._grants()
        may = partial(decide, caller.principal, caller.groups, READ_ENDPOINT)
        for record in self._state.of_kind(Kind.ENDPOINT, "online"):
            scope = Scope.endpoint(record.id.name)
            if may(scope, assignments=grants.assignments, roles=grants.roles).allowed:
                yield record

    def _endpoint(self, name: str) -> ResourceId:
        id_ = ResourceId(kind=Kind.ENDPOINT, workspace=self.id.name, name=name)
        if self._state.record(id_) is None:
            raise TargetError("find", str(id_), "it is not there")
        return id_

    def note_sign_in(self, caller: Caller) -> None:
        """Write down that somebody is about to be let in to the pages. Raises OutOfCapacity."""
        self._workspace.note_first(self.id, caller.actor, "sign in to")

    def note_call(self, endpoint: ResourceId, actor: Actor) -> None:
        """Write down who is about to call an endpoint by its key. Raises OutOfCapacity."""
        self._workspace.note_first(endpoint, actor, "score")

    def note_refused(self, what: str, why: str, who: str) -> None:
        """Write down that calls were refused, for some of them together."""
        actor = Actor(user=one_line(who)[:_LONGEST_NAME], command=_COMMAND)
        self._workspace.note(self.id, actor, one_line(what), why=one_line(why))


def forget_tokens(state: State) -> None:
    """Have no token of the workspace count any more, as where it has no service."""
    state.drop_signing(_SIGNING)


def _issuer(workspace: ResourceId) -> str:
    return f"urn:inference:{workspace.name}"


def _check(workspace: ResourceId, keys: SigningKeys | None) -> TokenCheck:
    issuer = _issuer(workspace)
    return TokenCheck(issuer=issuer, audience=f"{issuer}:service", jwks=keys.jwks if keys else "")


def _by_own(claims: Any) -> Caller:
    kind, name = claims.get("principal_type"), claims.get("sub")
    if kind not in get_args(PrincipalKind) or not isinstance(name, str):
        raise Unproven("it names nobody")
    return _caller(Principal(kind, name), claims, claims.get("groups"))


def _by_provider(claims: Any, check: ProviderCheck) -> Caller:
    name = claims.get(check.principal_claim)
    if not isinstance(name, str) or not name:
        raise Unproven(f"its {check.principal_claim} names nobody")
    return _caller(Principal("user", name), claims, claims.get(check.groups_claim))


def _caller(principal: Principal, claims: Any, groups: Any) -> Caller:
    if not _is_name(principal.name):
        raise Unproven(f"a name longer than {_LONGEST_NAME}, or that cannot be written down")
    several = groups if isinstance(groups, list) else [groups]  # one may be told as itself
    members = tuple(one for one in several if isinstance(one, str))
    expires = datetime.fromtimestamp(claims["exp"], UTC)
    token = claims.get("jti")
    return Caller(principal, members, expires, token if isinstance(token, str) else "")


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable()


def _time(document: bytes) -> datetime:
    return datetime.fromisoformat(document.decode())
