"""What workspaces hold already, beside what a document declares of them. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from inference_provider.spec import SpecModel
from inference_provider.spec.kinds import LISTED


def beside(
    there: Mapping[str, Sequence[SpecModel]], declared: Mapping[str, Sequence[SpecModel | None]]
) -> dict[str, list[SpecModel]]:
    """Return what there is already, by listing, but for what is declared too.

    Names are compared without case, as rules between resources do.
    """
    return {
        listing: [*_others(listing, found, declared.get(listing, ()))]
        for listing, found in there.items()
    }


def _others(
    listing: str, there: Sequence[SpecModel], declared: Sequence[SpecModel | None]
) -> Iterator[SpecModel]:
    identity = LISTED[listing].identity
    named = [[str(getattr(spec, part)).lower() for part in identity] for spec in declared if spec]
    for spec in there:
        if [str(getattr(spec, part)).lower() for part in identity] not in named:
            yield spec
