"""The secrets of connections: encrypted documents of the Records, and digests by the same key.

Other secrets of records have such digests too (`kept_digests.py`).

Each is encrypted with the workspace's key, which is a document of its own. A record says of each
secret a digest that needs the key too: whoever has records alone can neither read nor guess it.

Where the workspace's secret store is another one, a document says only where credentials lie, and
digests of what they were when the connection was applied. They are read there each time.
"""

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from pydantic import SecretStr

from inference_provider.errors import (
    SecretNotRead,
    SecretsInjectionError,
    SecretStoreUnreachable,
    TargetError,
)
from inference_provider.injection import Contents, VaultSecret
from inference_provider.observed import Kind, Record, ResourceId
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
from inference_provider.secret_text import mark
from inference_provider.spec.secret_store import store_kind
from inference_provider.workspace.kept_digests import (
    BLUEPRINTS,
    PLACEHOLDERS,
    WEBHOOKS,
    by_key,
    kept_secrets,
    with_keyed,
    with_plain,
)
from inference_provider.workspace.ports import Records

CREDENTIALS, STORE_KEY, KEY = "credentials", "store_key", "key"


class OutsideStore(Protocol):
    """A secret store beside the workspace. It is only read."""

    def values(self, places: Mapping[str, str]) -> Mapping[str, str]:
        """Return the value of each credential, by the place where it lies.

        Raises:
            SecretNotRead: One of them cannot be read.
        """


OpenStore = Callable[[Mapping[str, Any]], OutsideStore]
"""Opens a store by the workspace's recorded settings. Raises SecretNotRead."""


def no_store(_settings: Mapping[str, Any]) -> OutsideStore:
    """Refuse to open a store: for who reads records alone, as a router does."""
    raise SecretNotRead("no secret store is read here", "run `inferctl up`", silent=True)


class _Now(threading.local):
    """What another store has said to this thread; None outside of `SecretStore.still`."""

    seen: dict[str, Mapping[str, str]] | None = None


class SecretStore:
    """What connections of one workspace hold. Writes belong inside `Records.edit()`.

    Args:
        records: The workspace's.
        settings: Returns what the workspace's record says of its secret store.
        open_store: Opens that, where it is not the workspace's own.
    """

    def __init__(
        self,
        records: Records,
        settings: Callable[[], Mapping[str, Any] | None] = dict,
        open_store: OpenStore = no_store,
    ) -> None:
        self._records = records
        self._settings = settings
        self._open_store = open_store
        self._read: dict[str, tuple[bytes, bytes, Contents]] = {}
        self._store: tuple[Mapping[str, Any], OutsideStore] | None = None
        self._vaults: dict[str, OutsideStore] = {}
        self._now = _Now()

    def put(self, contents: Contents) -> None:
        """Keep what a connection holds; nothing is written when it is kept already.

        What another store has is not kept, but digests of it.
        """
        name = contents["name"]
        if self._now.seen is not None:
            self._now.seen.pop(name, None)
        if "stored" in contents:
            about = {field: value for field, value in contents.items() if field != "credentials"}
            digests = _digests(contents["credentials"], self._made_key())
            document = json.dumps({"about": about, "digests": digests})
            there = self._records.read(CREDENTIALS, name)
            if there is None or there.decode(errors="replace") != document:
                self._records.put(CREDENTIALS, name, document)
            return
        if not self.is_outside(name) and self.read(name) == contents:
            return
        document = sealed(
            json.dumps(contents), name, self._made_key(), secrets.token_bytes(NONCE_BYTES)
        )
        self._records.put(CREDENTIALS, name, document)

    def read(self, name: str) -> Contents | None:
        """Return what a connection holds; None when that is gone or cannot be read.

        Raises:
            SecretNotRead: Another store has it, and does not give it.
        """
        if outside := self._outside(name):
            return {**outside["about"], "credentials": self._values(name, outside)}
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

    def fault(self, name: str) -> str:
        """Say what is wrong with what a connection holds; empty for nothing.

        Raises:
            SecretNotRead: Nobody can tell, because another store does not answer.
        """
        outside = self._outside(name)
        if outside is None:
            return "its credentials are gone" if self.read(name) is None else ""
        try:
            values = self._values(name, outside)
        except SecretNotRead as fault:
            if fault.silent:
                raise
            return fault.reason
        key = self._key()
        if key is None:
            return "its credentials are gone"
        there = _digests(values, key)
        changed = [f"'{one}'" for one in there if there[one] != outside["digests"].get(one)]
        others = "another value" if len(changed) == 1 else "other values"
        return f"the secret store has {others} of {', '.join(changed)} now" if changed else ""

    # -- another store -------------------------------------------------------------------------

    def fetched(self, contents: Contents) -> Contents:
        """Return what a connection is to hold, with what another store has of it.

        Raises:
            SecretNotRead: It does not give it.
        """
        if "stored" not in contents:
            return contents
        return {**contents, "credentials": dict(self._opened().values(contents["stored"]))}

    def is_outside(self, name: str) -> bool:
        """Whether the workspace does not have the credentials of a connection itself."""
        return self._outside(name) is not None

    @contextmanager
    def still(self) -> Iterator[None]:
        """For the time of a block, ask another store once for each connection.

        For this thread alone: another one may apply a connection meanwhile, and what it then
        compares instances with has to be new.
        """
        before = self._now.seen
        self._now.seen = {} if before is None else before
        try:
            yield
        finally:
            self._now.seen = before

    def of_vault(self, asked: VaultSecret) -> str:
        """Return a secret of an Azure Key Vault, whatever the workspace's own store is.

        Raises:
            SecretNotRead: It does not give it.
        """
        seen, known = self._now.seen, f"{asked.url}/{asked.place}"
        if seen is not None and known in seen:
            return seen[known]["value"]
        if asked.url not in self._vaults:
            settings = {"kind": "azure_key_vault", "url": asked.url}
            self._vaults[asked.url] = self._open_store(settings)
        values = self._vaults[asked.url].values({"value": asked.place})
        if seen is not None:
            seen[known] = values
        return values["value"]

    def _outside(self, name: str) -> Mapping[str, Any] | None:
        """Return a document that says where credentials lie; None where it is not one."""
        document = self._records.read(CREDENTIALS, name)
        try:
            found = json.loads(document) if document else {}
        except ValueError:
            return None
        return found if isinstance(found, dict) and "about" in found else None

    def _values(self, name: str, outside: Mapping[str, Any]) -> Mapping[str, str]:
        seen = self._now.seen
        if seen is not None and name in seen:
            return seen[name]
        values = self._opened().values(outside["about"]["stored"])
        if seen is not None:
            seen[name] = values
        return values

    def _opened(self) -> OutsideStore:
        settings = self._settings() or {}
        if store_kind(settings) == store_kind(None):
            reason = "its credentials are in the workspace's previous secret store"
            raise SecretNotRead(reason, "apply the connection again, with credentials")
        if self._store is None or self._store[0] != settings:
            self._store = settings, self._open_store(settings)
        return self._store[1]

    def drop(self, name: str) -> None:
        """Remove what a connection held, if there is any."""
        self._records.drop(CREDENTIALS, name)

    def ensure_key(self) -> None:
        """Make the key that digests need; nothing where there is one."""
        self._made_key()

    def has_key(self) -> bool:
        """Whether there is a key that digests need."""
        return self._key() is not None

    def digest_of(self, injected: Mapping[str, SecretStr]) -> str:
        """Return a digest of what variables get; empty for nothing."""
        if not injected:
            return ""
        clear = {name: value.get_secret_value() for name, value in injected.items()}
        return keyed_digest(json.dumps(clear, sort_keys=True), self._key() or b"")

    # -- records of connections ----------------------------------------------------------------

    def written(self, record: Record) -> Record:
        """Return a record as it is kept: each secret as a keyed digest.

        What it names as values of its own must be kept already.
        """
        key = self._key()
        record = self._with(record, lambda text: by_key(text, key) if key else text)
        values = partial(self._secrets_beside, record.id)
        return _with_properties(record, with_keyed(record.properties, values, self._made_key))

    def shown(self, record: Record) -> Record:
        """Return a kept record with the plain digests of those secrets that are kept.

        Another one keeps its keyed digest, which no plain one is equal to.
        """
        values = partial(self._secrets_beside, record.id)
        record = _with_properties(record, with_plain(record.properties, values, self._key()))
        if record.id.kind != Kind.CONNECTION or not record.properties.get("credentials"):
            return record
        key, there = self._key(), self.marks(record)
        plain = {by_key(text, key): text for text in there.values()} if key else {}
        return self._with(record, lambda text: plain.get(text, text))

    def _secrets_beside(self, resource: ResourceId) -> list[str]:
        """Return the secrets of a resource that are kept beside its record."""
        texts = self._records.read(PLACEHOLDERS, f"{resource.kind.value}.{resource.name}")
        section = {Kind.DEPLOYMENT: BLUEPRINTS, Kind.ENDPOINT: WEBHOOKS}.get(resource.kind)
        beside = self._records.read(section, resource.name) if section else None
        return kept_secrets(texts, **{section: beside} if section else {})

    def marks(self, record: Record) -> dict[str, str]:
        """Return the plain digests of the secrets that are in the store, by name."""
        contents = None if self.is_outside(record.id.name) else self.read(record.id.name)
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


def not_read(fault: SecretNotRead, operation: str, resource: object) -> TargetError:
    """Return the error of an operation that needs what a secret store has not given."""
    kind = SecretStoreUnreachable if fault.silent else SecretsInjectionError
    return kind(operation, str(resource), fault.reason, fault.remedy)


def _digests(values: Mapping[str, str], key: bytes) -> dict[str, str]:
    return {name: keyed_digest(value, key) for name, value in values.items()}


def _with_properties(record: Record, properties: Mapping[str, Any]) -> Record:
    same = properties is record.properties
    return record if same else record.model_copy(update={"properties": dict(properties)})
