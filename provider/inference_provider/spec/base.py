"""What every spec shares: kinds, the base model, names, percents, and what is known of a field.

What is known of a field stands in its annotation, once: `fields.py` reads it, nothing codes it
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticKnownError


class Kind(StrEnum):
    """Kinds of resource, in the order in which they are made."""

    WORKSPACE = "Workspace"
    CONNECTION = "Connection"
    MODEL = "Model"
    ENVIRONMENT = "Environment"
    IDENTITY = "Identity"
    ENDPOINT = "Endpoint"
    ROLE_ASSIGNMENT = "RoleAssignment"
    DEPLOYMENT = "Deployment"
    TRAFFIC = "Traffic"
    AUTOSCALE_RULE = "AutoscaleRule"


class ChangeClass(StrEnum):
    """What fixing a changed field does to what runs."""

    LIVE = "live"
    """Takes effect in what is running: weights, timeouts, tags."""
    ROLLING = "rolling"
    """Needs new processes beside the old: code, environment, model, resources."""
    REPLACE = "replace"
    """Needs a new resource: identity fields."""


class Severity(StrEnum):
    """Why an operations review cares about a changed field."""

    IDENTITY = "identity"
    SECURITY = "security"
    CAPACITY = "capacity"
    COSMETIC = "cosmetic"


@dataclass(frozen=True)
class FieldRole:
    """What a change of one field means; stands in the field's annotation."""

    change: ChangeClass = ChangeClass.LIVE
    severity: Severity = Severity.COSMETIC


REPLACES = FieldRole(ChangeClass.REPLACE, Severity.IDENTITY)
ROLLS = FieldRole(ChangeClass.ROLLING, Severity.CAPACITY)
CAPACITY = FieldRole(ChangeClass.LIVE, Severity.CAPACITY)
SECURITY = FieldRole(ChangeClass.LIVE, Severity.SECURITY)
ROLLS_SECURITY = FieldRole(ChangeClass.ROLLING, Severity.SECURITY)
COSMETIC = FieldRole()


class FieldMark(Enum):
    """What else is known of a field; stands in its annotation, beside its role."""

    LOCAL_PATH = "local path"
    """Where content comes from on the client's machine: neither recorded nor compared."""
    COMPUTED = "computed"
    """The loader fills it in; nobody writes it in a stack file."""
    SHARES = "shares"
    """A share of 0 and no share are the same."""
    NO_SECRET = "no secret"
    """A rule of its own leaves no room for a secret in its text."""
    FREE_TEXT = "free text"
    """A secret may stand in it, though it has a pattern."""


LOCAL_PATH = FieldMark.LOCAL_PATH
COMPUTED = FieldMark.COMPUTED
SHARES = FieldMark.SHARES
NO_SECRET = FieldMark.NO_SECRET
FREE_TEXT = FieldMark.FREE_TEXT


def _is_number(annotation: Any) -> bool:
    """Whether a field takes a number and no boolean; it may take nothing too."""
    several = get_origin(annotation) in (Union, UnionType)
    taken = get_args(annotation) if several else (annotation,)
    kinds = {get_args(one)[0] if get_origin(one) is Annotated else one for one in taken}
    return bool not in kinds and not kinds.isdisjoint((int, float))


class SpecModel(BaseModel):
    """Base of everything a person writes: frozen, unknown fields refused, input never echoed."""

    # use_attribute_docstrings would parse every model's source at each start: 20 ms of a command.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _boolean_is_not_a_number(cls, value: object, info: ValidationInfo) -> object:
        # YAML reads `yes` and `on` as true, and pydantic takes true for 1
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and _is_number(annotation):
            raise ValueError(f"expected a number, got {str(value).lower()}; write it in digits")
        return value


def kind_among(*kinds: str) -> BeforeValidator:
    """Refuse a `kind` that no model of a union is for, and name those that there are.

    It stands on the model that is meant where nothing is said, which gets the unknown ones too.
    """

    def known(value: object) -> object:
        if value not in kinds:
            *others, last = (f"'{kind}'" for kind in kinds)
            expected = {"expected": f"{', '.join(others)} or {last}"}
            raise PydanticKnownError("literal_error", expected)
        return value

    return BeforeValidator(known)


def on_kind(default: str, *others: str) -> Discriminator:
    """Choose the model of a union by `kind`; the default where it is missing or unknown."""

    def tag(value: Any) -> str:
        read = value.get if isinstance(value, Mapping) else partial(getattr, value)
        kind = read("kind", None)
        return kind if isinstance(kind, str) and kind in others else default

    return Discriminator(tag)


MAX_ARGUMENT_BYTES = 131_072
"""Linux's limit for one argument, and for one `NAME=VALUE`, of a new process, the null byte at its
end included (MAX_ARG_STRLEN)."""


def argument_fault(text: str) -> str:
    """Return why a text cannot be passed to a process, and what to do; empty when it can."""
    if "\0" in text:
        return "contains a null byte; remove it"
    size = len(text.encode(errors="surrogatepass")) + 1
    if size > MAX_ARGUMENT_BYTES:
        limit = f"the limit is {MAX_ARGUMENT_BYTES:,}"
        return f"{size:,} bytes, {limit}; move long values into a file of the code"
    return ""


def _single_dashes(name: str) -> str:
    if "--" in name:
        raise ValueError("two dashes in a row; use single dashes")
    return name


ResourceName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", min_length=3, max_length=32
    ),
    AfterValidator(_single_dashes),
]
"""3 to 32 letters, digits and single dashes; starts with a letter (Azure ML's endpoint limits)."""

AssetName = Annotated[
    str, StringConstraints(pattern=r"^[a-zA-Z0-9][-_.a-zA-Z0-9]*$", max_length=255)
]
"""Name of a model or environment: letters, digits, `-`, `_`, `.` (Azure ML's asset rule)."""

AssetVersion = Annotated[
    str, StringConstraints(pattern=r"^[a-zA-Z0-9][-_.a-zA-Z0-9]*$", max_length=30)
]

Percent = Annotated[int, Field(ge=0, le=100)]
"""A whole share of 100."""

Tags = dict[str, str]

Enabled = Literal["enabled", "disabled"]
