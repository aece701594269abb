"""The secrets of connections: encrypted documents of the Records, and digests by the same key.

Each is encrypted with the workspace's key, which is a document of its own. A record says of each
secret a digest that needs the key too: whoever has records alone can neither read nor guess it.
"""

import json
import secrets
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from inference_provider.errors import TargetError
from inference_provider.injection import Contents
from inference_provider.observed import Kind, Record
from inference_provider.sealing import (
    KEY_BYTES,
    NONCE_BYTES,
    Unreadable,
    key_document,
    key_in,
    keyed_digest,
    sealed,
    unsealed,
)
from inference_provider.secret_text import KEYED_PREFIX, SECRET_PREFIX, mark
from inference_provider.workspace.ports import Records

CREDENTIALS, STORE_KEY, KEY = "credentials", "store_key", "key"


class SecretStore:
    """What connections of one workspace hold. Writes belong inside `Records.edit()`."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._read: dict[str, tuple[bytes, bytes, Contents]] = {}

    def put(self, contents: Contents) -> None:
        """Keep what a connection holds; nothing is written when it is kept already."""
        name = contents["name"]
        if self.read(name) == contents:
            return
        document = sealed(
            json.dumps(contents), name, self._made_key(), secrets.token_bytes(NONCE_BYTES)
        )
        self._records.put(CREDENTIALS, name, document)

    def read(self, name: str) -> Contents | None:
        """Return what a connection holds; None when that is gone or cannot be read."""
        try:
            key = self._records.read(STORE_KEY, KEY)
            document = self._records.read(CREDENTIALS, name)
            if key is None or document is None:
                return None
            known = self._read.get(name)
            if known is None or known[0] is not key or known[1] is not document:
                contents = json.loads(unsealed(document, name, key_in(key)))
                known = self._read[name] = key, document, contents
            return known[2]
        except (Unreadable, TargetError, OSError):
            return None

    def drop(self, name: str) -> None:
        """Remove what a connection held, if there is any."""
        self._records.drop(CREDENTIALS, name)

    def digest_of(self, injected: Mapping[str, SecretStr]) -> str:
        """Return a digest of what variables get; empty for nothing."""
        if not injected:
            return ""
        clear = {name: value.get_secret_value() for name, value in injected.items()}
        return keyed_digest(json.dumps(clear, sort_keys=True), self._key() or b"")

    # -- records of connections ----------------------------------------------------------------

    def written(self, record: Record) -> Record:
        """Return a connection's record as it is kept: each secret as a keyed digest."""
        key = self._key()
        return self._with(record, lambda text: _keyed(text, key))

    def shown(self, record: Record) -> Record:
        """Return a kept record with the plain digests of those secrets that are in the store.

        Another one than the store's keeps its keyed digest, which no plain one is equal to.
        """
        if record.id.kind != Kind.CONNECTION:
            return record
        key, there = self._key(), self.marks(record)
        plain = {_keyed(text, key): text for text in there.values()}
        return self._with(record, lambda text: plain.get(text, text))

    def marks(self, record: Record) -> dict[str, str]:
        """Return the plain digests of the secrets that are in the store, by name."""
        contents = self.read(record.id.name)
        return {n: mark(text) for n, text in contents["credentials"].items()} if contents else {}

    @staticmethod
    def _with(record: Record, change: Callable[[str], str]) -> Record:
        if record.id.kind != Kind.CONNECTION:
            return record
        texts = record.properties.get("credentials", {})
        changed = {name: change(text) for name, text in texts.items()}
        return record.model_copy(
            update={"properties": {**record.properties, "credentials": changed}}
        )

    # -- the key -------------------------------------------------------------------------------

    def _key(self) -> bytes | None:
        document = self._records.read(STORE_KEY, KEY)
        try:
            return key_in(document) if document else None
        except Unreadable:
            return None

    def _made_key(self) -> bytes:
        """Return the key; a new one where there is none, or none that can be read."""
        key = self._key()
        if key is None:
            key = secrets.token_bytes(KEY_BYTES)
            self._records.put(STORE_KEY, KEY, key_document(key))
        return key


def _keyed(text: str, key: bytes | None) -> str:
    """Return a plain digest as a keyed one; what is one already stays."""
    if key is None or not text.startswith(SECRET_PREFIX):
        return text
    return KEYED_PREFIX + keyed_digest(text, key)
