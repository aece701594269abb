"""What a command line changes of something that is there: a document's fields -> another spec.

Goes in: a spec, and what a document that has nothing but the changes was mapped to. What the
document does not say stays, also what Azure ML has no word for.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from inference_provider.errors import SpecError
from inference_provider.files.wording import faults_of
from inference_provider.spec import SpecModel
from inference_provider.spec.fields import in_clear

S = TypeVar("S", bound=SpecModel)


def updated(spec: S, mapped: Mapping[str, Any], paths: Collection[str]) -> S:
    """Return a spec with some fields changed.

    Args:
        spec: As it is.
        mapped: The item of a stack file that the document stands for.
        paths: Dotted fields of the document that are changed. One inside a block leaves the rest
            of the block as it is; one that is mapped to nothing changes nothing.

    Raises:
        SpecError: The spec would have faults.
    """
    fields = in_clear(spec)
    for path in paths:
        field, _, inside = path.partition(".")
        if field in mapped:
            before = fields.get(field) if inside else None
            fields[field] = _merged(before, mapped[field])
    try:
        return type(spec).model_validate(fields)
    except ValidationError as exc:
        raise SpecError(faults_of(exc, type(spec)), "the command line") from None


def _merged(before: Any, after: Any) -> Any:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return after
    return {**before, **{key: _merged(before.get(key), one) for key, one in after.items()}}
