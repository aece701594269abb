"""The base of every resource of this SDK: owner's label, secrets, and `get`.

Goes in: typed arguments. Comes out: a registered dynamic resource. The provider checks it.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import pulumi
from pulumi.dynamic import Resource

from inference_provider.dynamic.base import KindProvider
from inference_provider.handlers.state_keys import OWNER_KEY, PLACE_KEY
from inference_provider.secret_text import Secrets, holds_secret
from inference_provider.spec import SpecModel
from inference_provider.spec.free_text import is_free_text
from inference_provider.spec.kinds import ROWS, Kind, Row
from pulumi_inference.args import TargetInput
from pulumi_inference.interrupts import end_without_a_traceback
from pulumi_inference.order import declared, declared_before
from pulumi_inference.place import place_at, place_named
from pulumi_inference.values import sendable


class InferenceResource(Resource):
    """Base of the resources; `stack` is the owner's label they carry."""

    provider_type: ClassVar[type[KindProvider]]

    stack: pulumi.Output[str]
    """Owner's label: a resource that carries another one is not touched."""
    _target: Any = None
    """A workspace's place, read by resources in it; None when it is local."""
    _registered_as: ClassVar[Mapping[str, str]] = {}
    """Pulumi's type; a class that a program derives keeps it, and with it the kind in its URN."""

    def __init_subclass__(cls, **kwargs: str) -> None:
        cls._registered_as = kwargs or cls._registered_as
        super().__init_subclass__(**cls._registered_as)

    def __init__(
        self,
        resource_name: str,
        fields: Mapping[str, Any],
        stack: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        """Register a resource.

        Args:
            resource_name: Name in the Pulumi stack, and the resource's name unless it has another.
            fields: All arguments of the constructor; None for those the program left out.
            stack: Owner's label; the Pulumi project's name when left out.
            opts: Pulumi's resource options.
        """
        kind = self.provider_type.kind  # a program may derive classes, with names of its own
        row, where = ROWS[kind], f"{kind.value} {resource_name!r}"
        written = {
            name: sendable(where, name, value, _expected(row, name))
            for name, value in fields.items()
            if value is not None
        }
        if "name" in fields:
            written.setdefault("name", resource_name)
        secret = [name for name in row.secret_inputs if name in written]
        secret += secret_arguments(row.model_of(written), written)
        written |= {name: pulumi.Output.secret(written[name]) for name in secret}
        written[OWNER_KEY] = pulumi.get_project() if stack is None else stack
        given = fields.get("workspace")
        if kind == Kind.WORKSPACE:
            self._target = written.get("target")
        elif isinstance(given, InferenceResource):
            written |= _placed(place_at(given._target))
        else:
            written |= _placed(place_named(written.get("workspace")))
        after = pulumi.ResourceOptions(depends_on=declared_before(kind, written))
        self._register(resource_name, written, pulumi.ResourceOptions.merge(after, opts), secret)
        declared(kind, written, self)

    @classmethod
    def get(
        cls,
        resource_name: str,
        id: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
        *,
        target: TargetInput | None = None,
    ) -> Self:
        """Read an existing resource; the program neither changes nor deletes it.

        Args:
            resource_name: Name in the Pulumi stack.
            id: `Kind/workspace/name`, for example `Endpoint/default/iris`; a deployment's name is
                `endpoint/deployment`, a model's or environment's `name:version`.
            opts: Pulumi's resource options.
            target: Where its workspace is, as in the workspace's `target`; `local` when left out.
        """
        there = cls.__new__(cls)
        by_id = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id))
        there._target = target
        there._register(resource_name, _placed(place_at(target)), by_id)
        return there

    def _register(
        self,
        resource_name: str,
        written: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None,
        encrypted: Iterable[str] = (),
    ) -> None:
        end_without_a_traceback()
        _refuse_import(type(self).__name__, resource_name, opts)
        props = {**dict.fromkeys(_outputs(type(self))), **written}
        secret = sorted(ROWS[self.provider_type.kind].secret_outputs.union(encrypted))
        hidden = pulumi.ResourceOptions(additional_secret_outputs=secret)
        merged = pulumi.ResourceOptions.merge(hidden, opts)
        super().__init__(self.provider_type(), resource_name, props, merged)


def _expected(row: Row, field: str) -> Kind | None:
    """Return the kind of the resources that may be written for a field's value."""
    if field == "workspace":
        return Kind.WORKSPACE
    mark = row.names.get(field)
    return mark.kinds[0] if mark and mark.is_name else None


def _placed(place: Any) -> dict[str, Any]:
    return {} if place is None else {PLACE_KEY: place}


def _refuse_import(kind: str, name: str, opts: pulumi.ResourceOptions | None) -> None:
    """Refuse `import_`, which would end in a KeyError: the SDK imports no dynamic resource.

    A RunError is shown as one line, without a traceback.
    """
    if opts is None or opts.import_ is None:
        return
    raise pulumi.RunError(
        f"import {kind} {name!r}: dynamic resources cannot be imported; leave import_ out, and "
        f"`pulumi up` adopts what is there; or only read it: "
        f"{kind}.get({name!r}, {opts.import_!r})"
    )


def secret_arguments(
    spec_type: type[SpecModel], arguments: Mapping[str, Any], placeholders: Secrets = ()
) -> list[str]:
    """Return the free-text arguments that contain userinfo of a URL, or a placeholder's value.

    Outputs are left out: Pulumi itself tracks whether they are secret.
    """
    return [
        name
        for name, value in arguments.items()
        if is_free_text(spec_type, name) and holds_secret(value, placeholders)
    ]


def _outputs(resource_type: type[InferenceResource]) -> list[str]:
    """Return the attributes that a program may read."""
    ours = [base for base in resource_type.__mro__ if issubclass(base, InferenceResource)]
    return [
        name
        for base in ours
        for name, hint in inspect.get_annotations(base).items()
        if getattr(hint, "__origin__", None) is pulumi.Output
    ]
