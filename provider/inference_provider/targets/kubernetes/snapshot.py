"""Secrets -> the documents of a workspace, and back. Pure.

Each document is one Secret, so that one list of Secrets is one consistent snapshot of them all. An
edit of several is first written whole, as an intent; the revision, written next, names that intent,
and from then on the edit is done. Its documents are written in their places after that, and the
intent is deleted last. Whoever reads a revision whose intent is still there reads the intent too.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from inference_provider.targets.documents import Sections
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import foreign
from inference_provider.targets.kubernetes.objects import (
    SECRET,
    Object,
    annotations_of,
    name_of,
    version_of,
)

REVISION = "inference.revision"
"""Name of the Secret that says which edit was the last."""
TYPE = f"{names.PREFIX}/record"
_DOCUMENT, _INTENT = f"{names.PREFIX}/document", f"{names.PREFIX}/intent"
"""Annotations: `<section>/<name>` of a document, and which edit an intent is of."""
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


def read(secrets: Iterable[Object]) -> Snapshot:
    """Return the documents that some Secrets are."""
    revision, done, intents = 0, "", []
    documents: dict[str, dict[str, bytes | None]] = {}
    versions, edited = {}, {}
    for secret in secrets:
        about, versions[name_of(secret)] = annotations_of(secret), version_of(secret)
        if said := foreign(secret):
            edited[name_of(secret)] = said
        if name_of(secret) == REVISION:
            revision, done = number_of(secret), _text(secret, "intent")
        elif _INTENT in about:
            intents.append(secret)
        elif _DOCUMENT in about:
            section, _, name = about[_DOCUMENT].partition("/")
            documents.setdefault(section, {})[name] = _data(secret, "document")
    pending: dict[str, dict[str, bytes | None]] = {}
    for secret in intents:
        if annotations_of(secret)[_INTENT] == done:
            for section, found in _changes(_data(secret, "changes")).items():
                pending.setdefault(section, {}).update(found)
    _overlay(documents, pending)
    return Snapshot(revision, documents, versions, tuple(map(name_of, intents)), pending, edited)


def number_of(revision: Object) -> int:
    """Return the number of the last edit."""
    return int(_text(revision, "number") or 0)


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

    def revision(self, number: int, intent: str = "", version: str = "") -> Object:
        """Return the Secret that says which edit was the last.

        Args:
            number: Its number.
            intent: Which intent it was.
            version: That of the Secret which this replaces.
        """
        data = {"number": str(number).encode(), "intent": intent.encode()}
        return self._secret(REVISION, {}, data, version)

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
