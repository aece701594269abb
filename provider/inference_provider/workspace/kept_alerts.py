"""The alert rules of endpoints, and the webhooks that are told, as they are kept.

Rules are in the records of their endpoints. A record has digests of webhooks alone, so these have
documents of their own, in clear text.
"""

import json
from collections.abc import Mapping
from contextlib import suppress

from pydantic import SecretStr, TypeAdapter

from inference_provider.errors import TargetError
from inference_provider.observed import Kind, Record
from inference_provider.spec.alert import AlertRule, recorded_alerts
from inference_provider.spec.fields import in_clear
from inference_provider.workspace.kept_digests import WEBHOOKS
from inference_provider.workspace.ports import Records
from inference_provider.workspace.state import RECORDS, State

Rules = Mapping[str, Mapping[str, AlertRule]]
"""By endpoint, and by the name that each has there."""
_WEBHOOKS = TypeAdapter(dict[str, SecretStr])


def rules_in(state: State) -> Rules:
    """Return the rules of each endpoint that has some; skips a record that is unreadable."""
    found = dict[str, dict[str, AlertRule]]()
    for name in sorted(state.recorded(Kind.ENDPOINT)):
        with suppress(TargetError):
            record = _endpoint(state, name)
            if record and (rules := recorded_alerts(record.properties)):
                found[name] = rules
    return found


def incarnations_in(state: State) -> Mapping[str, str]:
    """Return which creation of each endpoint it is that is there, of those that know theirs."""
    found = dict[str, str]()
    for name in state.recorded(Kind.ENDPOINT):
        with suppress(TargetError):
            record = _endpoint(state, name)
            if record and record.claim:
                found[name] = record.claim.incarnation
    return found


def unreadable_in(state: State) -> frozenset[str]:
    """Return the endpoints of which nobody can say what alerts they have."""
    found = set[str]()
    for name in state.recorded(Kind.ENDPOINT):
        try:
            _endpoint(state, name)
        except TargetError:
            found.add(name)
    return frozenset(found)


def _endpoint(state: State, name: str) -> Record | None:
    return state.document(RECORDS, f"{Kind.ENDPOINT.value}.{name}", Record.model_validate_json)


def webhooks_of(state: State, endpoint: str) -> Mapping[str, SecretStr] | None:
    """Return who is told of an endpoint's alerts; None when that is gone or cannot be read."""
    try:
        return state.document(WEBHOOKS, endpoint, _WEBHOOKS.validate_json)
    except (TargetError, OSError):
        return None


def webhook_digest(state: State, endpoint: str, webhook: str) -> str:
    """Return what the record of an endpoint has of a webhook's URL; empty where nobody knows."""
    with suppress(TargetError, OSError):
        if record := _endpoint(state, endpoint):
            return str((record.properties.get("alert_webhooks") or {}).get(webhook, ""))
    return ""


def put_webhooks(records: Records, endpoint: str, webhooks: Mapping[str, SecretStr]) -> None:
    """Save who is told of an endpoint's alerts, inside an edit; nothing is kept of nobody."""
    if webhooks:
        records.put(WEBHOOKS, endpoint, json.dumps(in_clear(webhooks)))
    else:
        records.drop(WEBHOOKS, endpoint)
