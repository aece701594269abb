"""Types of nested arguments about who may call, and how; see `args.py`."""

from collections.abc import Sequence
from os import PathLike
from typing import Required, TypedDict

from pulumi import Input


class _Cors(TypedDict):
    origins: Input[Sequence[Input[str]]]
    """`https://app.example.org`, `https://*.example.org`, or `*`."""


class CorsArgs(_Cors, total=False):
    """Which pages of other sites may call an endpoint from a browser."""

    methods: Input[Sequence[Input[str]]]
    """`GET` and `POST` when left out."""
    headers: Input[Sequence[Input[str]]]
    """Headers that they may send."""
    expose_headers: Input[Sequence[Input[str]]]
    """Headers of an answer that they may read."""
    credentials: Input[bool]
    """Whether they may send cookies and certificates."""
    max_age_s: Input[int]
    """Seconds for which a browser need not ask again; 600 when left out."""


class _IdentityProvider(TypedDict):
    issuer: Input[str]
    """The `iss` of its tokens, letter for letter."""
    audience: Input[str] | Input[Sequence[Input[str]]]
    """The `aud` that tokens are for: one, or a list of which a token names one."""


class IdentityProviderArgs(_IdentityProvider, total=False):
    """Whose tokens endpoints of auth_mode `aad_token` take."""

    jwks_file: Input[str] | PathLike[str]
    """File with the public keys that sign its tokens, a JSON Web Key Set."""
    jwks_uri: Input[str]
    """URL of the public keys instead: the router fetches them."""
    jwks_refresh_s: Input[int]
    """Seconds after which the router fetches them again; 60 when left out."""
    allow_http: Input[bool]
    """Whether `jwks_uri` may be http:// on another machine."""
    principal_claim: Input[str]
    """The claim that is the `principal` of role assignments; `sub` when left out."""
    groups_claim: Input[str]
    """The claim that lists a caller's groups; `groups` when left out."""


class EndpointPropertiesArgs(TypedDict, total=False):
    """What else Azure ML knows of an online endpoint."""

    enforce_access_to_default_secret_stores: Input[str]
    """`enabled` gives the system-assigned identity the connections' secrets, if who deploys has
    that right too; `disabled` when left out."""


class CustomRoleArgs(TypedDict, total=False):
    """A role of the workspace's own: a named set of actions."""

    actions: Required[Input[Sequence[Input[str]]]]
    """What it allows; `*` stands for any text."""
    not_actions: Input[Sequence[Input[str]]]
    """What is taken out of `actions` again; another role may still allow it."""


class TlsArgs(TypedDict, total=False):
    """How a router speaks TLS, and no plain HTTP."""

    certificate: Input[str]
    """PEM: the router's own, then those that signed it."""
    private_key: Input[str]
    """PEM without a passphrase; encrypted in the state."""
    generate: Input[bool]
    """Whether a certificate is made instead, signed by an authority of the workspace alone, which
    its output `ca_certificate` is."""
    names: Input[Sequence[Input[str]]]
    """Hosts and addresses of a generated certificate, besides that of the scoring URLs."""
    minimum_version: Input[str]
    """Oldest version of TLS that is spoken: `1.2` when left out, or `1.3`."""
    client_ca: Input[str]
    """PEM: authorities one of which must have signed a caller's own certificate."""


class EncryptedFileStoreArgs(TypedDict):
    """The workspace keeps credentials itself, encrypted."""

    kind: Input[str]
    """`encrypted_file`."""


class EnvironmentStoreArgs(TypedDict):
    """Credentials are environment variables of whoever runs Pulumi."""

    kind: Input[str]
    """`environment`."""


class VaultStoreArgs(TypedDict, total=False):
    """Credentials are in the key-value engine, version 2, of a HashiCorp Vault."""

    kind: Required[Input[str]]
    """`vault`."""
    address: Required[Input[str]]
    """`https://vault.example.org:8200`."""
    mount: Input[str]
    """Where the engine is mounted; `secret` when left out."""
    path: Input[str]
    """Folder of it in which all of them lie."""
    namespace: Input[str]
    """Namespace of Vault Enterprise."""


class AzureKeyVaultStoreArgs(TypedDict):
    """Credentials are secrets of an Azure Key Vault."""

    kind: Input[str]
    """`azure_key_vault`."""
    url: Input[str]
    """`https://lab.vault.azure.net`."""


SecretStoreInput = (
    Input[EncryptedFileStoreArgs]
    | Input[EnvironmentStoreArgs]
    | Input[VaultStoreArgs]
    | Input[AzureKeyVaultStoreArgs]
)


class RequestLimitsArgs(TypedDict, total=False):
    """How many requests an endpoint takes, and how large; what is more is answered 429 or 413."""

    requests_per_minute: Input[int]
    """Of all callers together."""
    requests_per_minute_per_caller: Input[int]
    """Of each of the two keys, or of each name in a token."""
    max_body_mib: Input[int]
    """Largest body of a request, MiB; 100 when left out."""


class _OutboundRule(TypedDict):
    name: Input[str]
    """Unique in its workspace."""
    destination: Input[str]
    """`pypi.org`, or `*.pythonhosted.org` for all names under it."""


class OutboundRuleArgs(_OutboundRule, total=False):
    """A name that instances without a way out may reach, by HTTPS or HTTP."""

    type: Input[str]
    """`fqdn`: the destination is a name."""
    ports: Input[Sequence[Input[int]]]
    """TCP ports of it; 80 and 443 when left out."""
    allow_private_addresses: Input[bool]
    """Whether the name may stand for an address of a private network."""
