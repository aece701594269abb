"""Secrets -> the documents of a workspace, and back. Pure.

Each document is one Secret, so that one list of Secrets is one consistent snapshot of them all. An
edit of several is first written whole, as an intent; the revision, written next, names that intent,
and from then on the edit is done. Its documents are written in their places after that, and the
intent is deleted last. Whoever reads a revision whose intent is still there reads the intent too.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from inference_provider.targets.documents import Sections
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import foreign
from inference_provider.targets.kubernetes.objects import (
    SECRET,
    Object,
    annotations_of,
    labels_of,
    name_of,
    version_of,
)

REVISION = "inference.revision"
"""Name of the Secret that says which edit was the last."""
TYPE = f"{names.PREFIX}/record"
_DOCUMENT, _INTENT = f"{names.PREFIX}/document", f"{names.PREFIX}/intent"
"""Annotations: `<section>/<name>` of a document, and which edit an intent is of."""
_OWNERS = f"{names.PREFIX}/owners"
"""Annotation of the revision: the stacks that own something, so that others need not read all."""
_KNOWN_RECORDS = 10_000
_LONGEST = 200
PART_BYTES = 700_000
"""Largest part of an intent; a Secret may have a mebibyte."""
LONGEST_BYTES = 1_000_000
"""Largest document, also as it is written in an intent."""


class Snapshot(NamedTuple):
    """What a list of Secrets says."""

    revision: int
    """Of the last edit; 0 where there is none."""
    documents: Sections
    versions: Mapping[str, str]
    """Version of each Secret, by its name."""
    intents: tuple[str, ...]
    """Names of the Secrets that are intents, also of edits that never were done."""
    pending: Sections
    """What the intent of the last edit says and is perhaps not in its place yet."""
    edited: Mapping[str, str] = MappingProxyType({})
    """What somebody has changed past every client, who and when, by the name of the Secret."""


class Reading:
    """Reads the same Secrets again and again, and decodes only those that have changed.

    Args:
        left_out: Sections whose documents are not read.
    """

    def __init__(self, left_out: Collection[str]) -> None:
        self._left_out = frozenset(left_out)
        self._known: dict[str, tuple[Object, bytes]] = {}

    def read(self, secrets: Iterable[Object]) -> Snapshot:
        """As the function; what has changed past every client is not looked for."""
        before, self._known = self._known, {}

        def document(secret: Object) -> bytes:
            known = before.get(name_of(secret))
            if known is None or known[0] is not secret:
                known = secret, _document(secret)
            self._known[name_of(secret)] = known
            return known[1]

        found = read(secrets, document, lambda _secret: "", self._left_out)
        sections = found.documents.items()  # an intent may have others
        return found._replace(documents={s: d for s, d in sections if s not in self._left_out})


def _document(secret: Object) -> bytes:
    return _data(secret, "document")


def read(
    secrets: Iterable[Object],
    document: Callable[[Object], bytes] = _document,
    changed: Callable[[Object], str] = foreign,
    left_out: Collection[str] = (),
) -> Snapshot:
    """Return the documents that some Secrets are.

    Args:
        secrets: All of a workspace.
        document: Returns what one says.
        changed: Says what others have changed of one.
        left_out: Sections whose documents are not read.
    """
    revision, done, intents = 0, "", []
    documents: dict[str, dict[str, bytes | None]] = {}
    versions, edited = {}, {}
    for secret in secrets:
        if secret.get("type") != TYPE:  # which never changes: else a pod could write a record
            continue
        about, versions[name_of(secret)] = annotations_of(secret), version_of(secret)
        if said := changed(secret):
            edited[name_of(secret)] = said
        if name_of(secret) == REVISION:
            revision, done = number_of(secret), _text(secret, "intent")
        elif _INTENT in about:
            intents.append(secret)
        elif _DOCUMENT in about:
            section, _, name = about[_DOCUMENT].partition("/")
            if section not in left_out:
                documents.setdefault(section, {})[name] = document(secret)
    pending: dict[str, dict[str, bytes | None]] = {}
    for secret in intents:
        if annotations_of(secret)[_INTENT] == done:
            for section, found in _changes(_data(secret, "changes")).items():
                pending.setdefault(section, {}).update(found)
    _overlay(documents, pending)
    return Snapshot(revision, documents, versions, tuple(map(name_of, intents)), pending, edited)


def has_lost_labels(there: Object, document: Object) -> bool:
    """Whether somebody has changed the labels by which a document that is there is found."""
    found = (names.WORKSPACE, names.ROLE)
    differ = any(labels_of(there).get(name) != labels_of(document)[name] for name in found)
    return there.get("type") == TYPE and differ


def number_of(revision: Object) -> int:
    """Return the number of the last edit."""
    return int(_text(revision, "number") or 0)


def owners_noted(revision: Object) -> frozenset[str] | None:
    """Return the stacks that own something; None if the revision does not say it.

    That of an older release does not, nor that of an edit which was taken back.
    """
    found = annotations_of(revision).get(_OWNERS)
    return None if found is None else frozenset(json.loads(found))


def owners_of(records: Iterable[bytes]) -> frozenset[str]:
    """Return the owners that some records name; skips a record that names none."""
    return frozenset(filter(None, map(_owner_of, records)))


@lru_cache(_KNOWN_RECORDS)  # an edit changes few of them
def _owner_of(record: bytes) -> str:
    try:
        return str(json.loads(record)["owner"])
    except (ValueError, KeyError, TypeError):
        return ""


def _overlay(documents: dict[str, dict[str, bytes | None]], changed: Sections) -> None:
    for section, found in changed.items():
        there = documents.setdefault(section, {})
        for name, document in found.items():
            if document is None:
                there.pop(name, None)
            else:
                there[name] = document


# -- written ---------------------------------------------------------------------------------------


class Writer:
    """Makes the Secrets of one workspace.

    Args:
        workspace: Its name.
        namespace: Where it is.
    """

    def __init__(self, workspace: str, namespace: str) -> None:
        self.workspace = workspace
        self.namespace = namespace

    def revision(
        self,
        number: int,
        intent: str = "",
        version: str = "",
        owners: Collection[str] | None = None,
    ) -> Object:
        """Return the Secret that says which edit was the last.

        Args:
            number: Its number.
            intent: Which intent it was.
            version: That of the Secret which this replaces.
            owners: The stacks that own something after it; None if that is not known.
        """
        about = {} if owners is None else {_OWNERS: json.dumps(sorted(owners))}
        data = {"number": str(number).encode(), "intent": intent.encode()}
        return self._secret(REVISION, about, data, version)

    def document(self, section: str, name: str, document: bytes, version: str = "") -> Object:
        """Return the Secret that a document is; `version` as in `revision`."""
        about = {_DOCUMENT: f"{section}/{name}"}
        return self._secret(secret_name(section, name), about, {"document": document}, version)

    def intents(self, intent: str, changed: Sections) -> Iterator[Object]:
        """Yield the Secrets that hold an edit whole, each small enough.

        Args:
            intent: What it is called, once only.
            changed: What it changes.
        """
        for number, part in enumerate(_parts(changed)):
            data = {"changes": _json(part)}
            yield self._secret(f"inference.intent.{intent}.{number}", {_INTENT: intent}, data)

    def _secret(
        self, name: str, about: Mapping[str, str], data: Mapping[str, bytes], version: str = ""
    ) -> Object:
        return {
            "apiVersion": SECRET.api,
            "kind": SECRET.name,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": names.labels(self.workspace, names.RECORD),
                "annotations": dict(about),
                **({"resourceVersion": version} if version else {}),
            },
            "type": TYPE,
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }


def secret_name(section: str, name: str) -> str:
    """Return what the Secret of a document is called: `inference.keys.iris`."""
    digest = hashlib.sha256(f"{section}/{name}".encode()).hexdigest()[:8]
    return f"inference.{names.plain(section)}.{names.plain(name, _LONGEST)}-{digest}"


def _parts(changed: Sections) -> Iterator[dict[str, dict[str, str | None]]]:
    part: dict[str, dict[str, str | None]] = {}
    size = 0
    for section, found in changed.items():
        for name, document in found.items():
            text = None if document is None else document.decode()
            length = len(_json(text)) + len(name)
            if size and size + length > PART_BYTES:
                yield part
                part, size = {}, 0
            part.setdefault(section, {})[name] = text
            size += length
    yield part


def length_in_edit(document: str) -> int:
    """Return how many bytes a document has in an intent, where some characters take two."""
    return len(_json(document)) - len('""')


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _changes(text: bytes) -> Sections:
    parsed: dict[str, dict[str, str | None]] = json.loads(text)
    return {
        section: {n: None if t is None else t.encode() for n, t in found.items()}
        for section, found in parsed.items()
    }


def _data(secret: Object, key: str) -> bytes:
    return base64.b64decode((secret.get("data") or {}).get(key) or "")


def _text(secret: Object, key: str) -> str:
    return _data(secret, key).decode()
