"""Connection: a named set of credentials, and what each category of Azure ML's needs.

Source of categories, authentication types and names of credentials: the connections of Azure ML's
workspaces, in REST and in the YAML of its command line, whose `azure_open_ai` is `AzureOpenAI`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from inference_provider.injection import Injected, VaultSecret, injected, vault_secret
from inference_provider.spec.base import (
    NO_SECRET,
    REPLACES,
    ROLLS_SECURITY,
    ResourceName,
    SpecModel,
    argument_fault,
)

Category = Literal[
    "CustomKeys",
    "ApiKey",
    "AIServices",
    "AzureOpenAI",
    "CognitiveSearch",
    "CognitiveService",
    "OpenAI",
    "Serp",
    "Serverless",
    "GenericHttp",
    "ADLSGen2",
    "AzureBlob",
    "S3",
    "ContainerRegistry",
    "Git",
    "PythonFeed",
    "AzureMySqlDb",
    "AzurePostgresDb",
    "AzureSqlDb",
    "AzureSynapseAnalytics",
    "Snowflake",
]


class _Way(NamedTuple):
    """One way to prove who asks: Azure ML's name of it, and the credentials that it takes."""

    auth_type: str
    names: frozenset[str]


_API_KEY = _Way("ApiKey", frozenset({"key"}))
_ACCOUNT_KEY = _Way("AccountKey", frozenset({"key"}))
_SAS = _Way("SAS", frozenset({"sas"}))
_PRINCIPAL = _Way("ServicePrincipal", frozenset({"clientId", "clientSecret", "tenantId"}))
_ACCESS_KEY = _Way("AccessKey", frozenset({"accessKeyId", "secretAccessKey"}))
_PASSWORD = _Way("UsernamePassword", frozenset({"username", "password"}))
_TOKEN = _Way("PAT", frozenset({"pat"}))
_CUSTOM = "CustomKeys"

_WAYS: Mapping[str, tuple[_Way, ...]] = {
    "GenericHttp": (_PASSWORD, _API_KEY),
    "ADLSGen2": (_ACCOUNT_KEY, _SAS, _PRINCIPAL),
    "AzureBlob": (_ACCOUNT_KEY, _SAS, _PRINCIPAL),
    "S3": (_ACCESS_KEY,),
    "ContainerRegistry": (_PASSWORD,),
    "Git": (_TOKEN, _PASSWORD),
    "PythonFeed": (_TOKEN, _PASSWORD),
    "AzureMySqlDb": (_PASSWORD,),
    "AzurePostgresDb": (_PASSWORD,),
    "AzureSqlDb": (_PASSWORD, _PRINCIPAL),
    "AzureSynapseAnalytics": (_PASSWORD, _PRINCIPAL),
    "Snowflake": (_PASSWORD,),
}
"""Ways of each category; of any other one, a key."""


def _folded(text: str) -> str:
    return text.lower().replace("_", "").replace("-", "").replace(" ", "")


_CATEGORIES = {_folded(name): name for name in get_args(Category)} | {
    "custom": _CUSTOM,
    "azureaisearch": "CognitiveSearch",
    "azureaiservices": "AIServices",
    "azuredatalakegen2": "ADLSGen2",
}
_CREDENTIALS = {
    _folded(name): name for ways in _WAYS.values() for way in ways for name in way.names
} | {"apikey": "key", "accountkey": "key", "sastoken": "sas"}


def _known_category(value: object) -> object:
    return _CATEGORIES.get(_folded(value), value) if isinstance(value, str) else value


def _usable_name(name: str) -> str:
    if not name or not name.isprintable() or set(name) & set(" /{}"):
        raise ValueError("not a valid name; use no blank, `/`, `{` or `}`")
    return name


def _usable_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    fault = argument_fault(text) if text else "empty; write its value, or leave it out"
    if fault:
        raise ValueError(fault)
    return value


ConnectionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][-_a-zA-Z0-9]{2,32}$")]
"""3 to 33 letters, digits, `-` and `_`; starts with a letter or digit (Azure ML's rule)."""
KeyName = Annotated[str, AfterValidator(_usable_name)]


class ConnectionSpec(SpecModel):
    """A named set of credentials in the workspace's secret store."""

    workspace: Annotated[ResourceName, REPLACES] = "default"
    name: Annotated[ConnectionName, REPLACES]
    """Unique in its workspace; deployments name it in `${{azureml://connections/NAME/…}}`."""
    category: Annotated[Category, BeforeValidator(_known_category), REPLACES] = "CustomKeys"
    """Kind of service behind it, by Azure ML's names, `AzureOpenAI` or `azure_open_ai`. It says
    which credentials there must be; `CustomKeys` takes any."""
    target: Annotated[str, ROLLS_SECURITY] = ""
    """URL of the service, where there is one."""
    metadata: Annotated[dict[KeyName, str], ROLLS_SECURITY] = {}
    """What else is to be known of the service, and is no secret: `{ApiVersion: "2024-02-01"}`."""
    credentials: Annotated[
        dict[KeyName, Annotated[SecretStr, AfterValidator(_usable_value)]], ROLLS_SECURITY
    ] = {}
    """Secrets by name: `{key: "${env:OPENAI_KEY}"}`. A change starts new instances of every
    deployment that names the connection."""
    stored_credentials: Annotated[
        dict[KeyName, Annotated[str, Field(pattern=r"^[!-~]{1,512}$")]], ROLLS_SECURITY, NO_SECRET
    ] = {}
    """Where each credential lies instead, in a `secret_store` of the workspace that is read:
    `{key: "openai#key"}` for a path and key of a Vault, the name of a variable or of a secret."""

    @property
    def credential_names(self) -> frozenset[str]:
        """Names of its credentials, wherever their values are."""
        return frozenset({*self.credentials, *self.stored_credentials})

    @property
    def auth_type(self) -> str:
        """Azure ML's name for how it proves who asks."""
        if self.category == _CUSTOM:
            return _CUSTOM
        given = self.credential_names
        return next(way.auth_type for way in _ways(self.category) if way.names == given)

    @field_validator("target")
    @classmethod
    def _names_no_user_of_a_registry(cls, target: str, info: ValidationInfo) -> str:
        if info.data.get("category") == "ContainerRegistry" and "@" in target:
            reason = "it names a user before the `@`; name the registry alone, the user"
            raise ValueError(f"{reason} in credentials")
        return target

    @field_validator("credentials", "stored_credentials", mode="before")
    @classmethod
    def _names_by_azures_spelling(cls, value: Any, info: ValidationInfo) -> Any:
        """Azure ML's YAML writes `access_key_id`, and its REST `accessKeyId`."""
        if not isinstance(value, Mapping) or info.data.get("category", _CUSTOM) == _CUSTOM:
            return value
        spelled = {_CREDENTIALS.get(_folded(str(name)), name): one for name, one in value.items()}
        return spelled if len(spelled) == len(value) else value

    @model_validator(mode="after")
    def _a_registry_is_named(self) -> "ConnectionSpec":
        if self.category == "ContainerRegistry" and not self.target:
            raise ValueError("target: missing; write the registry, such as registry.example.org")
        return self

    @model_validator(mode="after")
    def _credentials_fit_the_category(self) -> "ConnectionSpec":
        given = self.credential_names
        if self.category == _CUSTOM:
            return self
        ways = _ways(self.category)
        if all(way.names != given for way in ways):
            told = " or ".join(_listed(way.names) for way in ways)
            has = _listed(given) if given else "none"
            raise ValueError(f"credentials: {self.category} takes {told}, and here: {has}")
        return self


def _ways(category: str) -> tuple[_Way, ...]:
    return _WAYS.get(category, (_API_KEY,))


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))


def contents_of(connection: ConnectionSpec) -> dict[str, Any]:
    """Return what a connection holds, with secrets in clear text: `injection.Contents`.

    What another secret store has is blank, and `stored` says where it is.
    """
    stored = dict(connection.stored_credentials)
    given = {name: one.get_secret_value() for name, one in connection.credentials.items()}
    return {
        "name": connection.name,
        "category": connection.category,
        "auth_type": connection.auth_type,
        "target": connection.target,
        "metadata": dict(connection.metadata),
        "credentials": {**dict.fromkeys(stored, ""), **given},
        **({"stored": stored} if stored else {}),
    }


def asked_in(variables: Mapping[str, SecretStr]) -> Iterator[tuple[str, Injected]]:
    """Yield the variables that get their value of a connection, and what of it."""
    for name, value in variables.items():
        asked = injected(value.get_secret_value())
        if asked is not None:
            yield name, asked


def vault_secrets_in(variables: Mapping[str, SecretStr]) -> Iterator[tuple[str, VaultSecret]]:
    """Yield the variables that get a secret of a Key Vault, and which."""
    for name, value in variables.items():
        asked = vault_secret(value.get_secret_value())
        if asked is not None:
            yield name, asked
