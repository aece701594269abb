"""Place: what a workspace's `target` names, as a word or with settings."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticKnownError

from inference_provider.spec.base import SpecModel

NAMESPACE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""How a namespace of Kubernetes may be called."""
TargetKind = Literal["local", "docker", "kubernetes", "memory"]
"""What runs the instances: processes of this machine, a Docker host, a cluster; nothing at all."""
_NO_HOST = "not a Docker host; write ssh://user@host, tcp://host:port or unix:///path"


class _Settings(SpecModel):
    """A kind of target, and how to reach it."""

    on_this_machine: ClassVar[bool] = False
    """Whether its instances are processes of the machine that reads the stack."""

    @model_serializer(mode="wrap")
    def _without_nulls(self, dump: Callable[[Self], dict[str, Any]]) -> dict[str, Any]:
        """A setting that a newer release adds is nothing until it is given."""
        return {name: value for name, value in dump(self).items() if value is not None}

    def __str__(self) -> str:
        return " ".join(str(value) for value in self.model_dump().values())


class LocalPlace(_Settings):
    """Processes of this machine."""

    on_this_machine = True
    kind: Literal["local"]


def _a_docker_host(url: str) -> str:
    parts = _parts(url)
    is_one = parts and parts.scheme in ("ssh", "tcp", "unix") and (parts.netloc or parts.path)
    if fault := docker_host_fault(url) if is_one else _NO_HOST:
        raise ValueError(fault)
    return url


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # a bracket without its other
        return None


def docker_host_fault(url: str) -> str:
    """Say why an address cannot be that of a Docker host, or must not be; empty when it may."""
    parts = _parts(url)
    if parts is None:
        return _NO_HOST
    if parts.password is not None:
        return "has a password in it; use a key, and write ssh://user@host"
    try:
        has_host = parts.port is None or parts.port > 0
    except ValueError:
        has_host = False
    if parts.scheme in ("ssh", "tcp") and not (has_host and parts.hostname):
        return f"not a Docker host; write {parts.scheme}://host:port"
    return ""


class DockerPlace(_Settings):
    """A Docker host."""

    kind: Literal["docker"]
    host: Annotated[str, AfterValidator(_a_docker_host)] | None = None
    """`ssh://user@host`, `tcp://host:port` or `unix:///path`; that of the context when left out."""
    context: str | None = None
    """A context of Docker's command line; the current one when left out."""

    @model_validator(mode="after")
    def _host_or_context(self) -> Self:
        if self.host is not None and self.context is not None:
            raise ValueError("host and context both name the Docker host; leave one of them out")
        return self


class KubernetesPlace(_Settings):
    """A namespace of a cluster."""

    kind: Literal["kubernetes"]
    context: str | None = None
    """A context of the kubeconfig; the current one when left out."""
    namespace: Annotated[str, Field(pattern=NAMESPACE, max_length=63)] | None = None
    """The workspace's name when left out."""


_SETTINGS: Mapping[str, type[_Settings]] = {
    "local": LocalPlace,
    "docker": DockerPlace,
    "kubernetes": KubernetesPlace,
}


def _word_or_settings(value: Any, _validate: ValidatorFunctionWrapHandler) -> Any:
    """Return a place in normal form: just the word when it has no settings.

    So it equals what a record of a release says that knew words alone. A union of pydantic would
    report the faults of every member.
    """
    if isinstance(value, _Settings):
        value = value.model_dump()
    if not isinstance(value, Mapping):
        return _one_of(get_args(TargetKind), value)
    kind = _one_of(tuple(_SETTINGS), value.get("kind"))
    model = _SETTINGS[kind]
    unknown = ", ".join(f"'{name}'" for name in value if name not in model.model_fields)
    if unknown:
        known = ", ".join(model.model_fields)
        raise ValueError(f"a place of kind '{kind}' has no {unknown}; known here: {known}")
    settings = model.model_validate(value)
    return settings if len(settings.model_dump()) > 1 else kind


def _one_of(kinds: tuple[str, ...], value: Any) -> str:
    if isinstance(value, str) and value in kinds:
        return value
    *others, last = (f"'{kind}'" for kind in kinds)
    raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})


Place = Annotated[
    TargetKind | LocalPlace | DockerPlace | KubernetesPlace,
    WrapValidator(_word_or_settings),
]
"""Where a workspace is: a word, or settings that begin with it as `kind`."""

_PLACE: TypeAdapter[Place] = TypeAdapter(Place)


def place_from(value: Any) -> Place:
    """Read a place from JSON. Raises ValidationError for anything else."""
    return _PLACE.validate_python(value)


def kind_of(place: Place) -> str:
    """Return the kind of target that a place names."""
    return place if isinstance(place, str) else place.kind


class Home(NamedTuple):
    """What a place leads to now: the same words may lead somewhere else tomorrow."""

    ids: Mapping[str, str] = {}
    """Ids that last as long as what they name; none where a target has none, or this user may not
    see them."""
    name: str = ""
    """What it is called in a sentence."""

    def is_that_of(self, ids: Mapping[str, str]) -> bool | None:
        """Whether these ids are of the same home; None if nothing that both have tells it.

        Two users may see different ids of one home, so the first that both know decides.
        """
        name = self.told_by(ids)
        return self.ids[name] == ids[name] if name else None

    def told_by(self, ids: Mapping[str, str]) -> str:
        """Return the name of the id that tells whether these are of the same home; empty if none.

        A state does not keep their order, so it is that of their names: a cluster's id comes
        before a namespace's.
        """
        return min(self.ids.keys() & ids.keys(), default="")


def on_this_machine(place: Place) -> bool:
    """Whether instances there start programs of this machine, so that one can be looked for."""
    settings = _SETTINGS.get(kind_of(place))
    return settings is not None and settings.on_this_machine


def json_of(place: Place) -> str | dict[str, Any]:
    """Return a place as JSON: the word, or its settings."""
    return place if isinstance(place, str) else place.model_dump()
