"""The router in our terms: endpoints, deployments, backends, weights. Pure.

`build.py` makes one RouterTable from all records of a workspace; `envoy.py` translates it into
Envoy's terms, and `steps.py` says how a running router gets from one table to another.
"""

import hashlib
import json
from collections.abc import Iterable

from pydantic import SecretStr, SerializationInfo, field_serializer

from inference_provider.observed import Frozen, ResourceId

EndpointKeys = tuple[SecretStr, SecretStr] | tuple[()]
"""Primary and secondary key, which are both valid; or none."""
KEYS_IN_CLEAR = {"keys": "clear"}
"""Context for `model_dump_json` that writes keys in clear text; only for a file of mode 0600."""


class Backend(Frozen):
    """One routable address of an instance."""

    host: str
    port: int
    socket: str = ""
    """Path of a Unix socket, used instead of host and port."""


class TokenCheck(Frozen):
    """Which tokens an endpoint takes: JSON Web Tokens, RFC 7519."""

    issuer: str
    audience: str
    jwks: str
    """Public keys, one of which must have signed a token: a JSON Web Key Set, RFC 7517."""

    @classmethod
    def of(cls, endpoint: ResourceId, jwks: str) -> "TokenCheck":
        """Return the check of tokens that an endpoint's own keys sign."""
        issuer = f"urn:inference:{endpoint.workspace}"
        return cls(issuer=issuer, audience=f"{issuer}:endpoints:{endpoint.name}", jwks=jwks)


class ProviderCheck(Frozen):
    """Which tokens of an identity provider an endpoint takes; all of a workspace take the same."""

    issuer: str
    audiences: tuple[str, ...]
    """A token must be for one of them."""
    jwks: str = ""
    """Public keys, a JSON Web Key Set; empty where the router fetches them."""
    jwks_uri: str = ""
    """Where the router fetches them; empty where they are given."""
    refresh_s: int = 60
    """Seconds after which it fetches them again."""
    principal_claim: str = "sub"
    groups_claim: str = "groups"

    @property
    def name(self) -> str:
        """Names it among the checks of a router; other keys of the same issuer keep the name."""
        said = json.dumps([self.issuer, *self.audiences])
        return f"identity-provider-{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    @property
    def as_routed(self) -> "ProviderCheck":
        """The check without what no route depends on."""
        nothing = {"jwks": "", "jwks_uri": "", "refresh_s": 0}
        return self.model_copy(update=nothing)


class Scorers(Frozen):
    """Who may score: callers whose token names one of the principals, or one of the groups."""

    principals: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __add__(self, other: "Scorers") -> "Scorers":
        """Return those of both."""
        return Scorers(
            principals=tuple(sorted({*self.principals, *other.principals})),
            groups=tuple(sorted({*self.groups, *other.groups})),
        )


class Cors(Frozen):
    """What a browser is told that asks for a page of another site; see `CorsSettings`."""

    origins: tuple[str, ...]
    """`https://app.example.org`, `https://*.example.org`, or `*`."""
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    credentials: bool
    max_age_s: int


class Tls(Frozen):
    """How a router speaks TLS, in place of plain HTTP."""

    certificate: str
    """PEM: its own, then those that signed it."""
    private_key: SecretStr
    """PEM."""
    minimum_version: str = "1.2"
    client_ca: str = ""
    """PEM: who must have signed a caller's certificate; empty where callers need none."""

    @field_serializer("private_key", when_used="json")
    def _key_as_asked(self, key: SecretStr, info: SerializationInfo) -> str:
        return key.get_secret_value() if info.context == KEYS_IN_CLEAR else str(key)


class Limits(Frozen):
    """How many requests an endpoint takes; see `RequestLimits`."""

    per_minute: int = 0
    """Of all callers together; 0 for no limit."""
    per_minute_per_caller: int = 0


class Traces(Frozen):
    """Where spans of requests go; see `TraceSettings`."""

    url: str
    sample_percent: float
    """Of requests that came without a decision of their caller's."""
    workspace: str
    """Whose router it is, as spans have it."""
    ca_file: str = ""
    """Whom it trusts to name a collector of https:// there."""


class OutboundEntry(Frozen):
    """Where instances may go that have no other way out; see `OutboundRule`."""

    destination: str
    """`pypi.org`, or `*.example.org`."""
    ports: tuple[int, ...]
    private: bool = False
    """Whether its addresses may be of private networks."""


class Proxy(Frozen):
    """Where a router is the forward proxy of instances that have no other way out."""

    host: str
    port: int
    clients: tuple[str, ...] = ()
    """Ranges of addresses that instances have, CIDR; all when empty."""
    socket: str = ""
    """Path of a Unix socket that it listens on, used instead of host and port."""


class DeploymentEntry(Frozen):
    """One deployment as the router knows it."""

    name: str
    backends: tuple[Backend, ...]
    """Instances that are admitted; empty for a deployment scaled to 0."""
    timeout_ms: int
    """Total time of one request, milliseconds."""
    max_concurrent: int
    """Per instance; the router admits 2 x this x instances at once (Azure ML's rule)."""
    retry_on_503: bool = False
    health_path: str = "/"
    """Readiness route; GET must answer 200 to 399."""
    health_interval_ms: int = 2000
    health_timeout_ms: int = 2000
    health_failures: int = 2
    """Consecutive failures after which an instance gets no requests. A server with one worker
    answers its health route only between requests, so a small number would exclude busy ones."""
    scoring_path: str = "/score"
    """Path to which `/endpoints/<endpoint>/score` is rewritten; other paths pass unchanged."""
    patience_s: int = 0
    """Longest wait of a request for an instance, where there may be none; 0 for no wait."""
    held: bool = False
    """Whether requests wait now."""


class EndpointEntry(Frozen):
    """One endpoint as the router knows it."""

    name: str
    auth_mode: str = "key"
    """How callers prove who they are; keys count only with `key`."""
    keys: EndpointKeys
    """Accepted keys; without any, and without a check of tokens, it answers 401 to everybody."""
    tokens: TokenCheck | None = None
    """Accepted tokens, where it is asked with tokens of its own."""
    provider: ProviderCheck | None = None
    """Accepted tokens, where it is asked with those of an identity provider."""
    scorers: Scorers = Scorers()
    """Who may score it with such a token; nobody else is let in."""
    deployment_scorers: dict[str, Scorers] = {}
    """Who else may score one deployment, which the request must name; by deployment."""
    cors: Cors | None = None
    limits: Limits | None = None
    max_body_mib: int = 100
    """Largest body of a request."""
    sources: tuple[str, ...] = ()
    """Ranges of addresses that may call it, CIDR; empty for all."""
    deployments: tuple[DeploymentEntry, ...] = ()
    weights: dict[str, int] = {}
    """Percent per deployment; the sum is 100 or 0."""
    mirror: dict[str, int] = {}
    """At most one deployment, at most 50 percent."""

    @field_serializer("keys", when_used="json")
    def _keys_as_asked(self, keys: EndpointKeys, info: SerializationInfo) -> list[str]:
        clear = info.context == KEYS_IN_CLEAR
        return [key.get_secret_value() if clear else str(key) for key in keys]


def longest_request_s(endpoints: Iterable[EndpointEntry]) -> float:
    """Return the time after which every request on some endpoints has ended, seconds."""
    limits = (one.timeout_ms for endpoint in endpoints for one in endpoint.deployments)
    return max(limits, default=0) / 1000 + 2


class Draining(Frozen):
    """A cluster that no route names any more, kept while its last requests end."""

    cluster: str
    """`<endpoint>/<deployment>`, or `<endpoint>/<deployment>/mirror`."""
    deployment: DeploymentEntry
    until_s: float
    """When its longest request must be over, in seconds since 1970."""

    @property
    def of(self) -> str:
        """`<endpoint>/<deployment>`."""
        return "/".join(self.cluster.split("/")[:2])


class RouterTable(Frozen):
    """Everything one router serves."""

    folder: str
    """The router's own folder: sockets, configuration, access log."""
    host: str
    port: int
    metrics_port: int
    """GET /metrics (Prometheus) and /ready; the only access to Envoy's admin by TCP."""
    metrics_host: str = "127.0.0.1"
    """Address that it is on; read once, at the router's start, as the port is."""
    name_server: str = ""
    """Address and port of who is asked for names that instances ask for; the machine's own when
    empty, which only tests change. Read once, at the router's start."""
    tls: Tls | None = None
    """None where it speaks plain HTTP."""
    sources: tuple[str, ...] = ()
    """Ranges of addresses that may call any endpoint, CIDR; empty for all."""
    trusted_proxies: tuple[str, ...] = ()
    """Ranges of addresses from which proxies connect, CIDR; nobody else may, where there are
    hops."""
    trusted_hops: int = 0
    """Proxies that a request passes, the last of which connects; 0 for none."""
    outbound: tuple[OutboundEntry, ...] = ()
    """Where instances may go that have no other way out."""
    proxy: Proxy | None = None
    """The forward proxy that leads there; without it, or without rules, nothing does."""
    traces: Traces | None = None
    """Where spans go; None where none are made."""
    calls_days: int = 0
    """Days after which a line of the access log is gone; 0 for as long as it has room."""
    endpoints: tuple[EndpointEntry, ...] = ()
    draining: tuple[Draining, ...] = ()
    """Clusters of earlier tables that are not in this one; they get no new request."""
