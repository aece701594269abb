"""Who may score -> rules of Envoy's access filter, for a route and for all. Pure.

They read the claims of a token that the identity provider's filter (`provider.py`) has checked.
"""

from inference_provider.router.resource import API, JWT_AUTHN, RBAC, Resource, where_asked
from inference_provider.router.table import ProviderCheck, Scorers

CLAIMS = "provider"
"""Where the filter of tokens leaves the claims of a good one, in the request's metadata."""
HEADER = "provider_header"
"""Where it leaves the header of that token."""
_KIND = f"{API}extensions.filters.http.rbac.v3"
_EVERYTHING = [{"any": True}]


def access_filter() -> Resource:
    """Return the filter, which lets nobody pass but by the rule of the route."""
    typed = {"@type": f"{_KIND}.RBAC", "rules": {"action": "ALLOW", "policies": {}}}
    return where_asked({"name": RBAC, "typed_config": typed})


def access_rule(check: ProviderCheck, scorers: Scorers) -> Resource:
    """Return what a route asks of a caller beyond a good token; without scorers all are refused."""
    principals = [_claim(check.principal_claim, _exactly(one)) for one in scorers.principals]
    for group in scorers.groups:
        in_a_list = {"list_match": {"one_of": _exactly(group)}}
        # a single group may be told as itself
        forms = (in_a_list, _exactly(group))
        principals += [_claim(check.groups_claim, form) for form in forms]
    if principals:
        refused = ({"not_id": one} for one in (_SHARED, *_MORE_ASKED))
        principals = [_all_of(*refused, {"or_ids": {"ids": principals}})]
    policy = {"score": {"permissions": _EVERYTHING, "principals": principals}}
    rules = {"action": "ALLOW", "policies": policy if principals else {}}
    return {"@type": f"{_KIND}.RBACPerRoute", "rbac": {"rules": rules}}


def _all_of(*principals: Resource) -> Resource:
    return {"and_ids": {"ids": list(principals)}}


def _claim(name: str, value: Resource) -> Resource:
    return _found((CLAIMS, name), value)


def _found(path: tuple[str, ...], value: Resource) -> Resource:
    found = {"filter": JWT_AUTHN, "path": [{"key": name} for name in path], "value": value}
    return {"sourced_metadata": {"metadata_matcher": found}}


def _exactly(text: str) -> Resource:
    return {"string_match": {"exact": text}}


# fetched keys may hold a shared secret by mistake, which everybody can read then; asked of given
# ones too, which may be fetched ones a moment later
_SHARED = _found((HEADER, "alg"), {"string_match": {"prefix": "HS"}})
# what a token asks of whoever checks it beyond its signature (RFC 7515, 4.1.11), of which Envoy
# knows nothing and takes the token all the same; a text is no list, and asks for something too
_ANY: Resource = {"present_match": True}
_MORE_ASKED = tuple(
    _found((HEADER, "crit"), value) for value in ({"list_match": {"one_of": _ANY}}, _ANY)
)
