"""URNs -> the entries of a Pulumi state: `urn:pulumi:<stack>::<project>::<types>::<name>`."""

from inference_provider.handlers import Entry

_PREFIX = "urn:pulumi:"
_PARTS = 4


def entry_of(urn: str) -> Entry:
    """Return the entry of a URN; any other text is taken as a name, with no known holder."""
    parts = urn.removeprefix(_PREFIX).split("::", _PARTS - 1)
    if not urn.startswith(_PREFIX) or len(parts) != _PARTS:
        return Entry(key=urn, name=urn)
    stack, project, _types, name = parts
    holder = f"Pulumi stack '{stack}' of project '{project}'"
    return Entry(key=urn, name=name, holder=holder)
