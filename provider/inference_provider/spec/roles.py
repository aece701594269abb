"""Roles: named sets of actions, in Azure's spelling. Pure data, and how names are read.

Goes in: the name or the action that a person wrote. Comes out: the one spelling that is compared.
Who has a role where is decided in `access.py`.

Sources: Azure's built-in roles and how their `*` matches (role-definitions); the spellings of Azure
ML's documentation, in several languages and versions (features.md 0.6 and 1.8).
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from inference_provider.spec.base import SpecModel

_ML = "Microsoft.MachineLearningServices/workspaces"

SCORE = f"{_ML}/onlineEndpoints/score/action"
"""Call an endpoint, or one deployment of it."""
TOKEN = f"{_ML}/onlineEndpoints/token/action"
"""Get a token of an endpoint of `aml_token`."""
LIST_KEYS = f"{_ML}/onlineEndpoints/listKeys/action"
"""Read both keys of an endpoint."""
READ_ENDPOINT = f"{_ML}/onlineEndpoints/read"
"""See that an endpoint is there, and how it is."""
WRITE_ENDPOINT = f"{_ML}/onlineEndpoints/write"
"""Change an endpoint, and its split."""
READ_LOGS = f"{_ML}/onlineEndpoints/deployments/getLogs/action"
"""Read what instances have printed."""
READ_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments/read"
"""See who may do what."""
READ_EVENTS = "Microsoft.Insights/eventtypes/values/read"
"""Read what was done, by whom: Azure's activity log, the journal here."""
LIST_SECRETS = f"{_ML}/connections/listsecrets/action"
"""Read the credentials of a connection."""
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
"""Pull an image."""
READ_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
"""Read what a store holds."""
GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
"""Read the value of a secret of a Key Vault."""
ASSIGN_ROLES = "Microsoft.Authorization/roleAssignments/write"
"""Give somebody a role."""

_ONLINE = f"{_ML}/onlineEndpoints"
MANAGE = (
    WRITE_ENDPOINT,
    f"{_ONLINE}/delete",
    LIST_KEYS,
    f"{_ONLINE}/deployments/write",
    f"{_ONLINE}/deployments/delete",
    f"{_ML}/models/versions/write",
    f"{_ML}/environments/versions/write",
    f"{_ML}/connections/write",
    LIST_SECRETS,
)
"""What somebody may do who deploys to a workspace and reads its records, in which its keys are."""

OWNER = "Owner"
ACR_PULL = "AcrPull"
BLOB_READER = "Storage Blob Data Reader"
SECRETS_READER = "Azure Machine Learning Workspace Connection Secrets Reader"
VAULT_READER = "Key Vault Secrets User"
METRICS_WRITER = "AzureML Metrics Writer"
DATA_SCIENTIST = "AzureML Data Scientist"


@dataclass(frozen=True)
class Role:
    """A named set of actions."""

    name: str
    actions: tuple[str, ...]
    """`*` stands for any text, slashes included; case does not matter."""
    not_actions: tuple[str, ...] = ()
    """Taken out of `actions`; another role may still have them."""

    def allows(self, action: str) -> bool:
        """Return whether an action is in the set."""
        one = action_name(action)
        return _any_of(self.actions, one) and not _any_of(self.not_actions, one)


def _any_of(patterns: tuple[str, ...], action: str) -> bool:
    return any(_pattern(pattern).fullmatch(action) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    first, *rest = (re.escape(part) for part in action_name(text).split("*"))
    if not rest:
        return re.compile(first, re.IGNORECASE)
    *between, last = rest
    # the first place of each part is as good as any other; trying them all would take for ever
    found = "".join(f"(?>.*?{part})" for part in between)
    return re.compile(f"{first}{found}.*{last}", re.IGNORECASE | re.DOTALL)


_BLOBS = "Microsoft.Storage/storageAccounts/blobServices"
_AUTHORIZATION = "Microsoft.Authorization"

BUILT_IN_ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role(OWNER, ("*",)),
        Role(
            "Contributor",
            ("*",),
            (
                f"{_AUTHORIZATION}/*/Delete",
                f"{_AUTHORIZATION}/*/Write",
                f"{_AUTHORIZATION}/elevateAccess/Action",
            ),
        ),
        Role("Reader", ("*/read",)),
        Role("User Access Administrator", ("*/read", f"{_AUTHORIZATION}/*", "Microsoft.Support/*")),
        Role(
            DATA_SCIENTIST,
            tuple(f"{_ML}/*/{verb}" for verb in ("read", "action", "delete", "write")),
            (
                f"{_ML}/delete",
                f"{_ML}/write",
                f"{_ML}/computes/*/write",
                f"{_ML}/computes/*/delete",
                f"{_ML}/computes/listKeys/action",
                f"{_ML}/listKeys/action",
                f"{_ML}/hubs/write",
                f"{_ML}/hubs/delete",
                f"{_ML}/featurestores/write",
                f"{_ML}/featurestores/delete",
            ),
        ),
        Role(SECRETS_READER, (LIST_SECRETS, f"{_ML}/metadata/secrets/read")),
        Role(VAULT_READER, (GET_SECRET, "Microsoft.KeyVault/vaults/secrets/readMetadata/action")),
        Role(METRICS_WRITER, (f"{_ML}/metrics/*/write",)),
        Role(ACR_PULL, (PULL,)),
        Role("AcrPush", (PULL, "Microsoft.ContainerRegistry/registries/push/write")),
        Role(
            BLOB_READER,
            (f"{_BLOBS}/containers/read", f"{_BLOBS}/generateUserDelegationKey/action", READ_BLOBS),
        ),
        Role(
            "Storage Blob Data Contributor",
            (
                f"{_BLOBS}/containers/delete",
                f"{_BLOBS}/containers/read",
                f"{_BLOBS}/containers/write",
                f"{_BLOBS}/generateUserDelegationKey/action",
                f"{_BLOBS}/containers/blobs/delete",
                READ_BLOBS,
                f"{_BLOBS}/containers/blobs/write",
                f"{_BLOBS}/containers/blobs/move/action",
                f"{_BLOBS}/containers/blobs/add/action",
            ),
        ),
    )
}
"""By name. Azure's data actions are actions here: one set says what a role may do."""

_ALIASES: Mapping[str, str] = {
    "acr pull": ACR_PULL,
    "acr push": "AcrPush",
    "data scientist": DATA_SCIENTIST,
    "azure ml data scientist": DATA_SCIENTIST,
    "connection secrets reader": SECRETS_READER,
    "workspace connection secrets reader": SECRETS_READER,
    "azureml workspace connection secrets reader": SECRETS_READER,
    "metrics writer": METRICS_WRITER,
    "workspace metrics writer": METRICS_WRITER,
    "azureml metrics writer (preview)": METRICS_WRITER,
    "azure machine learning metrics writer": METRICS_WRITER,
    "azure machine learning metrics writer (preview)": METRICS_WRITER,
    "auteur de métriques d'espace de travail": METRICS_WRITER,
    "enregistreur de métriques d'espace de travail": METRICS_WRITER,
    "enregistreur": METRICS_WRITER,
}
_BY_LOWER_CASE: Mapping[str, str] = {**_ALIASES, **{name.lower(): name for name in BUILT_IN_ROLES}}

_ACTION_ALIASES: Mapping[str, str] = {
    "machinelearningservice/workspace/workspace/datastore/reader": f"{_ML}/datastores/read",
}
_WITHOUT_S = "microsoft.machinelearningservice/"


Action = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9*][A-Za-z0-9*._/-]*$")]
"""An action, or a pattern of actions."""


class CustomRole(SpecModel):
    """A role of the workspace's own: a named set of actions."""

    actions: Annotated[tuple[Action, ...], Field(min_length=1)]
    """What it allows: `Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action`;
    `*` stands for any text, `Microsoft.MachineLearningServices/workspaces/*/read`."""
    not_actions: tuple[Action, ...] = ()
    """What is taken out of `actions` again; another role may still allow it."""


def _of_its_own(name: str) -> str:
    if role_name(name) in BUILT_IN_ROLES:
        raise ValueError("a built-in role has this name; use another one")
    return name


RoleTitle = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([- A-Za-z0-9._()]{0,126}[A-Za-z0-9)])?$"),
    AfterValidator(_of_its_own),
]
"""Name of a custom role: letters, digits, blanks, `-`, `_`, `.` and parentheses."""


def unknown_role(written: str, custom: Iterable[str]) -> tuple[str, str] | None:
    """Return what is wrong with the name of a role, and what to do; None for one that is there.

    Args:
        written: The name.
        custom: Names of the workspace's own roles.
    """
    known = [*BUILT_IN_ROLES, *sorted(custom)]
    if role_name(written) in known:
        return None
    spelled = {name.lower(): name for name in (*_ALIASES.values(), *known)}
    spelled |= _ALIASES
    near = difflib.get_close_matches(role_name(written).lower(), spelled, n=1, cutoff=0.75)
    meant = f"did you mean '{spelled[near[0]]}'? " if near else ""
    there = ", ".join(known)
    return (
        f"no role '{written}'",
        f"{meant}declare it under `roles` of the workspace, or use one of: {there}",
    )


def role_name(written: str) -> str:
    """Return a role's one spelling; what no built-in role is called comes back as it is."""
    folded = " ".join(written.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    return _BY_LOWER_CASE.get(folded.lower(), folded)


def action_name(written: str) -> str:
    """Return an action as it is compared; Azure ML's documentation spells some in two ways."""
    if written.lower().startswith(_WITHOUT_S):
        return f"Microsoft.MachineLearningServices/{written[len(_WITHOUT_S) :]}"
    return _ACTION_ALIASES.get(written.lower(), written)
