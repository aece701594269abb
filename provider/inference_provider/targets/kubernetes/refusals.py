"""What an API server refuses -> an error of ours, in one sentence each. Pure."""

import re
from collections.abc import Iterator

from inference_provider.errors import (
    Busy,
    OutOfCapacity,
    PermanentError,
    TargetError,
    TargetUnreachable,
)

AGAIN = (429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""
SHOWN = 600


class Conflict(Busy):
    """Somebody else has changed the object since it was read, or made it."""


class Forbidden(TargetError, PermanentError):
    """This user may not do that."""


class Refused(TargetError, PermanentError):
    """A rule of the cluster refuses the object, whoever sends it."""


class NamespaceEnds(Busy):
    """Somebody has deleted the namespace, and Kubernetes clears it away."""


class NotThere(TargetError, PermanentError):
    """What a request is about, or its namespace, is not there."""


def refusal(doing: str, what: str, code: int, said: str, place: str) -> TargetError:
    """Return the error for an answer that refuses a request.

    Args:
        doing: What was asked for: `apply`.
        what: Of what.
        code: HTTP's status.
        said: What the API server says.
        place: Which cluster it is.
    """
    said = said.strip()[:SHOWN]
    if code == 401:
        reason = "the credentials are not accepted, or have expired"
        return TargetError(doing, what, reason, "log in again", place)
    if code == 404:
        return NotThere(doing, what, said, "run this again", place)
    if code == 409:
        return Conflict(doing, what, said, "run this again", place)
    hook = _HOOK.search(said)
    if not hook and (code == 403 or _RULE.search(said)):
        return _forbidden(doing, what, said, place)
    if hook or code in AGAIN:
        reason, remedy = f"it answers {code}: {said}", ""
        if hook:
            reason = f"webhook '{hook['name']}' of the cluster does not answer: {hook['cause']}"
            remedy = "have who runs that webhook mend it, and run this again"
        return TargetUnreachable(doing, what, reason, remedy, place)
    return TargetError(doing, what, f"it answers {code}: {said}", "", place)


_HOOK = re.compile(
    r'failed calling webhook "(?P<name>[^"]*)": (?:failed to call webhook: )?(?P<cause>.*)',
    re.DOTALL,
)
_RULE = re.compile(r"admission webhook|ValidatingAdmissionPolicy")
_RIGHT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) (?:resource|path) "(?P<plural>[^"]*)"'
    r'(?: in API group "(?P<group>[^"]*)")?(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_GRANT = re.compile(r'user "(?P<user>[^"]*)".* is attempting to grant RBAC permissions', re.DOTALL)
_LACKED = re.compile(r"Resources:\[(?P<what>[^]]*)\], Verbs:\[(?P<verbs>[^]]*)\]")


def _forbidden(doing: str, what: str, said: str, place: str) -> TargetError:
    if right := _RIGHT.search(said):
        return _lacking(doing, what, right, place)
    if grant := _GRANT.search(said):
        lacked = " and ".join(_lacked(said)) or "that"
        reason = f"'{grant['user']}' may give no right that it lacks: {lacked}"
        remedy = f"ask for a Role with {lacked} too"
        return Forbidden(doing, what, reason, remedy, place)
    reason = without_subject(said)
    if "being terminated" in said:
        return NamespaceEnds(
            doing, what, "the namespace is being deleted", "run this again later", place
        )
    if "quota" in reason:
        return OutOfCapacity(doing, what, reason, quota_remedy(reason), place)
    return Refused(doing, what, f"a rule of the cluster refuses it: {reason}", REMEDY, place)


REMEDY = "change what it asks for, or the rule"


def quota_remedy(said: str) -> str:
    """Say what to do about a quota: name what must be counted, or enlarge it."""
    if "must specify" in said:
        return "set these in the deployment's resources, or add a LimitRange with defaults"
    return "ask for less, or raise the quota"


def _lacking(doing: str, what: str, right: re.Match[str], place: str) -> Forbidden:
    verb, namespace = right["verb"], right["namespace"]
    resource = right["plural"] + (f".{right['group']}" if right["group"] else "")
    kind, where = ("Role", f" in namespace '{namespace}'") if namespace else ("ClusterRole", "")
    reason = f"'{right['user']}' may not {verb} {resource}"
    remedy = f"ask for a {kind} with verb {verb} on {resource}{where}"
    return Forbidden(doing, what, reason, remedy, place)


def _lacked(said: str) -> Iterator[str]:
    """Yield the rights that nobody may give who lacks them: `list, watch on secrets`."""
    for one in _LACKED.finditer(said):
        resources, verbs = (re.findall(r'"([^"]*)"', one[part]) for part in ("what", "verbs"))
        yield f"{', '.join(verbs)} on {', '.join(resources)}"


def without_subject(said: str) -> str:
    """Return a refusal without what it is about: `pods "iris-1" is forbidden: …`."""
    return re.sub(r'^[a-z0-9./]+ (?:"[^"]*" )?is forbidden: ', "", " ".join(said.split()))
