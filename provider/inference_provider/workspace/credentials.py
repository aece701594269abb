"""What callers of an endpoint prove themselves with: made, rotated, and used to sign tokens.

An endpoint that is asked with keys has two; one that is asked with tokens of its own has the keys
that sign them. Rules for who may ask are not here.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from inference_provider.desired import DesiredResource
from inference_provider.errors import Fault, SpecError, TargetError
from inference_provider.observed import Actor, Record, ResourceId
from inference_provider.printable import one_line
from inference_provider.router.build import has_keys, has_provider, has_tokens
from inference_provider.router.table import TokenCheck
from inference_provider.spec.endpoint import WhichKey
from inference_provider.workspace.kept_keys import Keys
from inference_provider.workspace.opened import Workspace
from inference_provider.workspace.signing import SigningKeys
from inference_provider.workspace.state import State
from inference_provider.workspace.tokens import (
    DEFAULT_LIFETIME,
    LONGEST_LIFETIME,
    SHORTEST_LIFETIME,
    IssuedToken,
    is_pair,
    issue,
    new_signing_key,
)

SIGNING = "signing"
"""Which key is rotated of an endpoint that is asked with tokens."""
_WHICH: tuple[WhichKey, WhichKey] = ("primary", "secondary")
_GONE = "apply the stack again, which makes new ones"


def settle(state: State, desired: DesiredResource, before: Record | None) -> None:
    """Give an endpoint what its callers need that it lacks, and take from it what they do not.

    Args:
        state: Where keys are kept.
        desired: The endpoint.
        before: As it was applied last; a key of another count of rotations is made again. None
            where it is new, or its record is lost: then callers keep keys that are there, as
            nobody knows of which count they are.
    """
    name, properties = desired.id.name, desired.properties
    old = before.properties if before else properties
    if has_keys(properties):
        there = state.keys(name)
        wanted = tuple(
            _settled(desired.spec, old, which, there[index] if there else None)
            for index, which in enumerate(_WHICH)
        )
        if wanted != there:
            state.put_keys(name, (wanted[0], wanted[1]))
    else:
        state.drop_keys(name)
    if not has_tokens(properties):
        state.drop_signing(name)
        return
    signing = _usable(state, name)
    if signing is None:
        state.put_signing(name, SigningKeys(newer=new_signing_key()))
    elif _turned(properties, old, SIGNING):
        state.put_signing(name, signing.rotated(new_signing_key()))


def _settled(
    spec: Any, old: Mapping[str, Any], which: WhichKey, there: SecretStr | None
) -> SecretStr:
    """Return one key as it must be: the user's own, the one that is there, or a new one."""
    own = spec.keys.get(which)
    if own is not None:
        return SecretStr(own.get_secret_value())
    turned = _turned({"key_rotations": spec.key_rotations}, old, which)
    if there is None or turned or _is_own(old, which):
        return _new_key()
    return there


def _turned(new: Mapping[str, Any], old: Mapping[str, Any], which: str) -> bool:
    """Whether another number is declared; who leaves it out asks for no key, and keeps callers."""
    wanted = new.get("key_rotations", {}).get(which)
    return wanted is not None and wanted != old.get("key_rotations", {}).get(which, 0)


def _is_own(properties: Mapping[str, Any], which: str) -> bool:
    return which in properties.get("keys", {})


def are_lost(state: State, endpoint: str, properties: Mapping[str, Any]) -> bool:
    """Whether the keys of an endpoint are missing; then every call is refused."""
    if has_tokens(properties):
        return _usable(state, endpoint) is None
    return has_keys(properties) and state.keys(endpoint) is None


def rotate(opened: Workspace, endpoint: ResourceId, which: str) -> str:
    """Replace one key, and publish that; say what was done.

    Args:
        opened: The endpoint's workspace.
        endpoint: Whose.
        which: `primary` or `secondary`, or `signing` of an endpoint that takes tokens.

    Raises:
        TargetError: It has no such key.
    """
    if which == SIGNING:
        _signing(opened.state, endpoint, "rotate the signing key of")  # refuses before a start
    else:
        _keys(opened.state, endpoint, which)

    def edit() -> None:
        if which == SIGNING:
            keys = _signing(opened.state, endpoint, "rotate the signing key of")
            opened.state.put_signing(endpoint.name, keys.rotated(new_signing_key()))
            return
        primary, secondary = _keys(opened.state, endpoint, which)
        fresh = _new_key()
        turned = (fresh, secondary) if which == "primary" else (primary, fresh)
        opened.state.put_keys(endpoint.name, turned)

    opened.convergence.change(edit)
    return f"rotate {which} key"


def token(
    opened: Workspace, endpoint: ResourceId, actor: Actor, lifetime: timedelta = DEFAULT_LIFETIME
) -> IssuedToken:
    """Return a token with which a person or a program may call an endpoint.

    Raises:
        SpecError: The lifetime is too short or too long.
        TargetError: The endpoint takes no tokens of its own, or its keys are gone.
    """
    refuse_lifetime(lifetime, LONGEST_LIFETIME, endpoint)
    keys = _signing(opened.state, endpoint, "make a token of")
    check = TokenCheck.of(endpoint, keys.jwks)
    return issue(check, keys, one_line(actor.user), opened.clock.now(), lifetime)


def refuse_lifetime(lifetime: timedelta, longest: timedelta, what: ResourceId) -> None:
    """Raise SpecError for a lifetime of a token that is too short or too long."""
    if not SHORTEST_LIFETIME <= lifetime <= longest:
        minutes, most = lifetime.total_seconds() / 60, longest.total_seconds() / 60
        later = "ask for another one later" if lifetime > longest else ""
        reason = f"{minutes:g} minutes; expected 1 to {most:g}"
        raise SpecError((Fault("lifetime", reason, later),), str(what))


def _keys(state: State, endpoint: ResourceId, which: str) -> Keys:
    keys = state.keys(endpoint.name)
    properties = _properties(state, endpoint, "rotate the key of")
    if _is_own(properties, which):
        reason = f"the stack that made it says what its {which} key is"
        raise TargetError(
            "rotate the key of", str(endpoint), reason, f"change keys.{which} there, and apply that"
        )
    if keys is not None:
        return keys
    if has_tokens(properties):
        remedy = f"rotate its signing key: `inferctl keys rotate {endpoint.name} --key signing`"
        raise TargetError("rotate the key of", str(endpoint), "it takes tokens, not keys", remedy)
    if has_provider(properties):
        reason = "it takes tokens of the workspace's identity_provider, not keys"
        raise TargetError("rotate the key of", str(endpoint), reason, "rotate keys there")
    raise TargetError("rotate the key of", str(endpoint), "its keys are gone", _GONE)


def _signing(state: State, endpoint: ResourceId, operation: str) -> SigningKeys:
    keys = _usable(state, endpoint.name)
    if keys is not None:
        return keys
    properties = _properties(state, endpoint, operation)
    if not has_tokens(properties):
        mode = properties["auth_mode"]
        reason = f"its auth_mode is {mode}; only an endpoint of aml_token has tokens of its own"
        remedy = f"see its keys: `inferctl keys show {endpoint.name}`" if mode == "key" else ""
        raise TargetError(operation, str(endpoint), reason, remedy)
    raise TargetError(operation, str(endpoint), "its keys are gone", _GONE)


def _usable(state: State, endpoint: str) -> SigningKeys | None:
    """Return the keys that sign tokens; None where a router would take no token of theirs."""
    keys = state.signing(endpoint)
    return keys if keys and is_pair(keys.newer) else None


def _properties(state: State, endpoint: ResourceId, operation: str) -> Mapping[str, Any]:
    record = state.record(endpoint)
    if record is None:
        raise TargetError(operation, str(endpoint), "it is not there", "declare it")
    return record.properties


def _new_key() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(32))
