"""Envoy's HTTP filters for a request and its answer: size, key or token, the model's errors. Pure.

Each route (`envoy.py`) names the keys it accepts, or whose tokens (`tokens.py`, `provider.py`).
"""

from collections.abc import Sequence

from inference_provider.router.resource import (
    API,
    API_KEY_AUTH,
    CLIENT_HEADER,
    DEPLOYMENT_HEADER,
    ROUTER_ERROR_HEADER,
    Resource,
    where_asked,
)
from inference_provider.router.sizes import size_filters

_FILTERS = f"{API}extensions.filters"
# Envoy's API key filter strips `Bearer ` only in exactly this case, and also accepts a bare key. So
# any other form is normalized, or removed. Envoy joins two headers of this name with a comma.
_USUAL_AUTHORIZATION = "Bearer [^ ,]+"
# Of a header that is there twice a route would follow the first, and the model might the last.
_ONCE = (":authority", DEPLOYMENT_HEADER)
_NEVER_FORWARDED = ("TRACE", "TRACK")
_REQUEST_SCRIPT = """
function envoy_on_request(handle)
  local headers = handle:headers()
  local host = headers:get(":authority") or ""
  if headers:getNumValues("DEPLOYMENT") > 1 or host:find(",", 1, true) then
    return handle:respond({[":status"] = "400"}, "")
  end
  local method = headers:get(":method")
  if method == "TRACE" or method == "TRACK" then
    return handle:respond({[":status"] = "405"}, "")
  end
  local scheme, key = (headers:get("authorization") or ""):match("^(%a+) +([^ ,]+)$")
  if scheme ~= nil and scheme:lower() == "bearer" then
    headers:replace("authorization", "Bearer " .. key)
  else
    headers:remove("authorization")
  end
end
""".replace("DEPLOYMENT", DEPLOYMENT_HEADER)
# The router marks every error of its own, which tells a model's 404 from the router's. The route
# table removes the mark from a model's answers.
_MODEL_ERRORS_SCRIPT = """
local reasons = {["400"]="Bad Request", ["401"]="Unauthorized", ["403"]="Forbidden",
  ["404"]="Not Found", ["405"]="Method Not Allowed", ["413"]="Payload Too Large",
  ["415"]="Unsupported Media Type", ["422"]="Unprocessable Entity", ["429"]="Too Many Requests",
  ["500"]="Internal Server Error", ["501"]="Not Implemented", ["502"]="Bad Gateway",
  ["503"]="Service Unavailable", ["504"]="Gateway Timeout"}
local BEFORE_KEYS = {["400"]=true, ["401"]=true, ["403"]=true, ["405"]=true, ["413"]=true}
function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  if status < "400" then return end
  if headers:get("ROUTER-ERROR") ~= nil then
    -- the split had chosen already; who may have shown no key is not told of whom
    if BEFORE_KEYS[status] then headers:remove("DEPLOYMENT") end
    local reset = headers:get("x-ratelimit-reset")
    if status == "429" and reset ~= nil and headers:get("retry-after") == nil then
      headers:add("retry-after", reset == "0" and "1" or reset)
    end
    return
  end
  headers:replace("ms-azureml-model-error-statuscode", status)
  headers:replace("ms-azureml-model-error-reason", reasons[status] or "model error")
  headers:replace(":status", "424")
end
""".replace("ROUTER-ERROR", ROUTER_ERROR_HEADER).replace("DEPLOYMENT", DEPLOYMENT_HEADER)


def request_filters(first: Sequence[Resource], after_keys: Sequence[Resource]) -> list[Resource]:
    """Return the filters of a request, in order.

    Args:
        first: Those of sources.
        after_keys: Those of tokens, roles and rates.
    """
    # before keys and tokens: a browser asks without any
    cors = where_asked(_filter("cors", "cors.v3.Cors"))
    return [*first, *size_filters(), cors, *websocket_filters([], after_keys)]


def websocket_filters(first: Sequence[Resource], after_keys: Sequence[Resource]) -> list[Resource]:
    """Return the filters of a websocket, whose size is not limited."""
    # no credentials here: a route without any answers 401
    keys = {"key_sources": [{"header": "authorization"}]}
    return [
        *first,
        _corrections(),
        _filter(API_KEY_AUTH.rpartition(".")[2], "api_key_auth.v3.ApiKeyAuth", keys),
        *after_keys,
        # the statistics log counts by status code, so the router need not
        routing_filter(dynamic_stats=False),
    ]


def routing_filter(**settings: bool) -> Resource:
    """Return the last filter, which forwards the request as its route says."""
    return _filter("router", "router.v3.Router", settings)


def _corrections() -> Resource:
    """Return the Lua filter, applied only where a request or its answer needs it.

    Starting Lua costs 6 us of the router's 64 per request, and a normal request whose answer is
    1xx, 2xx or 3xx does not need it. The matchers run on the request and again on the answer: by
    then the key has been removed, and its owner stands in its place.
    """
    script = _REQUEST_SCRIPT + _MODEL_ERRORS_SCRIPT
    lua = _filter("lua", "lua.v3.Lua", {"default_source_code": {"inline_string": script}})
    kind = f"{_FILTERS}.http.composite.v3.ExecuteFilterAction"
    run = {"action": {"name": "run", "typed_config": {"@type": kind, "typed_config": lua}}}
    kind = f"{_FILTERS}.common.matcher.action.v3.SkipFilter"
    skip = {"action": {"name": "skip", "typed_config": {"@type": kind}}}
    usual = [
        _header("authorization", _regex(_USUAL_AUTHORIZATION)),
        _header(CLIENT_HEADER, _regex(".+")),
    ]
    unusual = {"not_matcher": {"or_matcher": {"predicate": usual}}}
    odd = [
        unusual,
        # no regular expressions: each request would run them twice
        *(_header(name, {"contains": ","}) for name in _ONCE),
        *(_header(":method", {"exact": one}) for one in _NEVER_FORWARDED),
    ]
    matchers = [
        {"predicate": {"or_matcher": {"predicate": odd}}, "on_match": run},
        # "not 1xx to 3xx" instead of "4xx or 5xx": a model may answer 600, which has no class
        {
            "predicate": {"or_matcher": {"predicate": [_answered(one) for one in "231"]}},
            "on_match": skip,
        },
    ]
    return {
        "name": "envoy.filters.http.corrections",
        "typed_config": {
            "@type": f"{API}extensions.common.matching.v3.ExtensionWithMatcher",
            "extension_config": _filter("composite", "composite.v3.Composite"),
            "xds_matcher": {"matcher_list": {"matchers": matchers}, "on_no_match": run},
        },
    }


def _header(name: str, wanted: Resource) -> Resource:
    return _matches("HttpRequestHeaderMatchInput", wanted, header_name=name)


def _answered(hundreds: str) -> Resource:
    return _matches("HttpResponseStatusCodeClassMatchInput", {"exact": f"{hundreds}xx"})


def _regex(text: str) -> Resource:
    """Return what a value must match as a whole."""
    return {"safe_regex": {"regex": text, "google_re2": {}}}


def _matches(kind: str, wanted: Resource, **settings: str) -> Resource:
    typed = {"@type": f"{API}type.matcher.v3.{kind}", **settings}
    value = {"name": "value", "typed_config": typed}
    return {"single_predicate": {"input": value, "value_match": wanted}}


def _filter(name: str, kind: str, config: Resource | None = None) -> Resource:
    typed = {"@type": f"{_FILTERS}.http.{kind}", **(config or {})}
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed}
