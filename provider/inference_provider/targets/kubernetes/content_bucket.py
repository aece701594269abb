"""The prefix of a bucket in which one workspace keeps its content, by a file system of fsspec.

Below it lie `assets/<sha256>`, `environments/<key>` (each the hash of an archive), and
`workspace.json`, which says whose all that is. That is read again before anything is written or
deleted: what is of another workspace is left alone. An object is there whole or not at all. fsspec
and what it needs for a protocol are imported only when a bucket is opened.
"""

import errno
import importlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from inference_provider.serving.buckets import KNOWN, package_of, protocol_of

_MARKER, _ASSETS, _NAMES = "workspace.json", "assets", "environments"
_ARRIVING = "arriving"
"""Where an object is written that is then moved, in what shows it before it is whole."""
_PART = 8 * 2**20
"""Bytes of a part that is written or read at a time: of each transfer about three are in memory."""
_MOST_PARTS = 9_000
"""S3 takes 10,000 of an object."""
_DIGEST, _NAME = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{64}\.[0-9a-f]{16}")
_RANDOM = re.compile(r"[0-9a-f]{16}")
_FULL = re.compile(r"quota|storage ?full|insufficient ?storage|no space left", re.IGNORECASE)
_NO_CREDENTIALS = re.compile(r"credential|anonymous|forbidden|access ?denied|unauthori[sz]ed", re.I)
_NO_BUCKET = re.compile(r"no ?such ?bucket|bucket.*not (exist|found)|container.*not exist", re.I)
_GOOGLE = "GOOGLE_APPLICATION_CREDENTIALS"
_taken: set[str] = set()
"""Variables that are set from a Secret."""
_SHOWN = 200
_PLACES = frozenset(
    {
        *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "FSSPEC_S3_ENDPOINT_URL"),
        *("AWS_DEFAULT_REGION", "AWS_REGION", "AZURE_STORAGE_ACCOUNT_NAME"),
    }
)
"""Variables that say where a bucket is. Any other may be a secret, whatever it is called."""
_USER = re.compile(r"//(\S+)@")
_SECRET_LENGTH = 4
"""A shorter line is a brace, or a word."""
_WAITS = {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2}}
_OPTIONS: dict[str, dict[str, Any]] = {one: {"config_kwargs": _WAITS} for one in ("s3", "s3a")}
"""By protocol: who waits for an answer gives up before its own client does."""

_WITH_FOLDERS = frozenset({"file", "local", "sftp", "ssh", "smb", "hdfs", "webhdfs"})
"""Protocols of what needs a folder for a file; in a store of objects that may make a bucket."""
_MEND_CREDENTIALS = (
    "mend the connection or the Secret that has them (the pod reads the Secret again within two"
    " minutes), or the rights of the service account, then run this again"
)


class BucketFault(Exception):
    """What is asked of a bucket cannot be done."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class BucketFull(Exception):
    """The bucket takes nothing more."""


class Owner(NamedTuple):
    """Whose content a prefix holds."""

    workspace: str
    namespace: str
    id: str
    """Tells two workspaces of the same names apart, in two clusters or one after the other."""


class Bucket:
    """One prefix; its methods may be called by several threads.

    Args:
        url: Its URL: `s3://models/demo`.
        owner: Whose it is.
        open_: Returns the file system of fsspec, and the path of the prefix in it.
        secrets_: Returns what no fault may quote of what a library said.
    """

    def __init__(
        self,
        url: str,
        owner: Owner,
        open_: Callable[[str], tuple[Any, str]] | None = None,
        secrets_: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.url = url.rstrip("/")
        self._owner = owner
        self._open = open_ or opened
        self._secrets = secrets_
        self._opening = threading.Lock()
        self._kept: tuple[Any, str] | None = None

    # -- whose it is ---------------------------------------------------------------------------

    def claim(self) -> None:
        """Make sure that the prefix is of this workspace; one that is nobody's gets it.

        Raises:
            BucketFault: It is another's, or the bucket cannot be used.
        """
        there = self._marker()
        if there is None:
            told = json.dumps(self._owner._asdict(), indent=1).encode()
            self._write(_MARKER, [told], len(told))
            there = self._marker()  # another may have come between
        if there != self._owner:
            raise self._of_another(there)

    def _marker(self) -> Owner | None:
        text = self._read(_MARKER)
        if text is None:
            return None
        try:
            found = json.loads(text)
            return Owner(*(str(found[name]) for name in Owner._fields))
        except (ValueError, KeyError, TypeError):
            return Owner("", "", "")

    def _of_another(self, there: Owner | None) -> BucketFault:
        at = f"{self.url}/{_MARKER}"
        if there is None or not there.id:
            return BucketFault(f"{at} does not say whose content that is", "name another prefix")
        whose = f"workspace '{there.workspace}' of namespace '{there.namespace}'"
        reason = f"{self.url} holds the content of another workspace, {whose}"
        return BucketFault(reason, f"name another prefix, or delete {at} if that one is gone")

    # -- archives ------------------------------------------------------------------------------

    def size(self, digest: str) -> int | None:
        """Return the bytes of an archive; None when it is not there."""
        with self._asked("look into") as (system, root), suppress(FileNotFoundError):
            found = system.info(f"{root}/{_ASSETS}/{digest}")
            return int(found["size"]) if found["type"] == "file" else None
        return None

    def parts(self, digest: str, size: int) -> Iterator[bytes]:
        """Yield an archive. Raises BucketFault when it is gone, or shorter than that."""
        path = f"{_ASSETS}/{digest}"
        for start in range(0, size, _PART):
            end = min(start + _PART, size)
            with self._asked("read from") as (system, root):
                part = system.cat_file(f"{root}/{path}", start=start, end=end)
            if len(part) != end - start:
                raise BucketFault(f"{self.url}/{path} ends early", "run `inferctl up` again")
            yield part

    @contextmanager
    def writing(
        self, digest: str, size: int
    ) -> Iterator[Callable[[Iterable[bytes]], Iterable[bytes]]]:
        """Write what goes through the function that is given; it is there when the block ends.

        What raises leaves nothing.
        """
        self.claim()
        with self._whole(f"{_ASSETS}/{digest}", size) as write:

            def through(parts: Iterable[bytes]) -> Iterator[bytes]:
                for part in parts:
                    write(part)
                    yield part

            yield through

    def remove(self, digest: str) -> None:
        self.claim()
        self._remove(f"{_ASSETS}/{digest}")

    def listed(self) -> dict[str, int]:
        """Return the size of every archive by its hash."""
        self.claim()
        return self._list(_ASSETS, _DIGEST)

    # -- names ---------------------------------------------------------------------------------

    def named(self, name: str) -> str | None:
        """Return the hash that has a name."""
        text = self._read(f"{_NAMES}/{name}")
        found = text.decode(errors="replace") if text is not None else ""
        return found if _DIGEST.fullmatch(found) else None

    def name(self, name: str, digest: str) -> None:
        self.claim()
        self._write(f"{_NAMES}/{name}", [digest.encode()], len(digest))

    def unname(self, name: str) -> None:
        self.claim()
        self._remove(f"{_NAMES}/{name}")

    def names(self) -> tuple[str, ...]:
        return tuple(self._list(_NAMES, _NAME))

    # -- all of it -----------------------------------------------------------------------------

    def clear(self) -> None:
        """Delete what is of this workspace, by name; nothing of another."""
        if self._marker() != self._owner:
            return
        for folder, names in ((_ASSETS, _DIGEST), (_NAMES, _NAME), (_ARRIVING, _RANDOM)):
            for one in self._list(folder, names):
                self._remove(f"{folder}/{one}")
        self._remove(_MARKER)

    # -- objects -------------------------------------------------------------------------------

    def _read(self, path: str) -> bytes | None:
        with self._asked("read from") as (system, root), suppress(FileNotFoundError):
            return bytes(system.cat_file(f"{root}/{path}"))
        return None

    def _write(self, path: str, parts: Iterable[bytes], size: int) -> None:
        with self._whole(path, size) as write:
            for part in parts:
                write(part)

    @contextmanager
    def _whole(self, path: str, size: int) -> Iterator[Callable[[bytes], None]]:
        """Write an object by the function that is given; what raises leaves nothing."""
        beside = "" if protocol_of(self.url) in KNOWN else f"{_ARRIVING}/{secrets.token_hex(8)}"
        with self._asked("write to") as (system, root):
            at, whole = f"{root}/{beside or path}", f"{root}/{path}"
            for one in (at, whole) if protocol_of(self.url) in _WITH_FOLDERS else ():
                system.makedirs(one.rpartition("/")[0], exist_ok=True)
            block = max(_PART, -(-size // _MOST_PARTS))
            file = system.open(at, "wb", block_size=block, autocommit=bool(beside))

        def write(part: bytes) -> None:
            with self._asked("write to"):
                file.write(part)

        try:
            yield write
            with self._asked("write to"):
                file.close()
                system.mv(at, whole) if beside else file.commit()
        except BaseException:
            _discard(file)
            with suppress(Exception):
                system.rm_file(at) if beside else None
            raise

    def _remove(self, path: str) -> None:
        with self._asked("delete from") as (system, root), suppress(FileNotFoundError):
            system.rm_file(f"{root}/{path}")

    def _list(self, folder: str, names: re.Pattern[str]) -> dict[str, int]:
        found: list[dict[str, Any]] = []
        with self._asked("list") as (system, root), suppress(FileNotFoundError):
            found = system.ls(f"{root}/{folder}", detail=True)
        files = [one for one in found if one["type"] == "file"]
        sizes = {str(one["name"]).rpartition("/")[2]: int(one["size"]) for one in files}
        return {name: size for name, size in sizes.items() if names.fullmatch(name)}

    @contextmanager
    def _asked(self, doing: str) -> Iterator[tuple[Any, str]]:
        """Yield the file system and the path of the prefix; say what it raises as a fault of ours.

        Every file system of fsspec raises what it likes.
        """
        try:
            yield self._system()
        except (BucketFault, BucketFull):
            raise
        except Exception as fault:
            raise self._fault(doing, fault) from fault

    def _system(self) -> tuple[Any, str]:
        with self._opening:
            if self._kept is None:
                self._kept = self._open(self.url)
            return self._kept

    def forget(self) -> None:
        """Open it again for the next who asks: its credentials may be others now."""
        with self._opening:
            self._kept = None

    def _fault(self, doing: str, fault: BaseException) -> BucketFault | BucketFull:
        said = self._without_secrets(" ".join(str(fault).split()))[:_SHOWN]
        said = said or type(fault).__name__
        if isinstance(fault, ImportError):
            package = package_of(self.url)
            reason = f"the runtime image has no {package}, which {protocol_of(self.url)}:// needs"
            remedy = f"make it with `inferctl image build --with {package}`, and push or load that"
            return BucketFault(reason, remedy)
        if getattr(fault, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or _FULL.search(said):
            return BucketFull(f"{self.url} takes nothing more: {said}")
        self.forget()  # the Secret says where the bucket is, too
        if isinstance(fault, PermissionError) or _NO_CREDENTIALS.search(said):
            reason = f"its credentials do not let the content pod {doing} {self.url}: {said}"
            return BucketFault(reason, _MEND_CREDENTIALS)
        if isinstance(fault, FileNotFoundError) or _NO_BUCKET.search(said):
            return BucketFault(f"there is no bucket of {self.url}: {said}", "make it, or mend url")
        reason = f"the content pod cannot {doing} {self.url}: {said}"
        return BucketFault(reason, "check that the cluster reaches it, then run this again")

    def _without_secrets(self, said: str) -> str:
        # quoting.py knows parts too, and needs more than the standard library
        values = (" ".join(one.split()) for one in self._secrets())
        for value in sorted(values, key=len, reverse=True):
            if len(value) >= _SECRET_LENGTH:
                said = said.replace(value, "[secret]")
        return said


def _discard(file: Any) -> None:
    """Leave nothing of what was written: closing it would write the rest."""
    with suppress(Exception):
        file.forced = True  # fsspec's word for: nothing is to be written any more
    for end in ("discard", "close"):
        with suppress(Exception):
            getattr(file, end)()


def opened(url: str, variables: Path | None = None) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it, by fsspec.

    Args:
        url: The URL.
        variables: Folder of a mounted Secret, a file for each variable that is set from it.
    """
    if variables is not None:
        _take(variables)
    protocol = protocol_of(url)
    system: Any = importlib.import_module("fsspec.core")
    options = {**_OPTIONS.get(protocol, {}), "use_listings_cache": False}
    found, path = system.url_to_fs(url, skip_instance_cache=True, **options)
    return found, str(path).rstrip("/")


def secret_values(folder: Path | None) -> list[str]:
    """Return what of a mounted Secret nobody may read: of where the bucket is, who logs in."""
    found: list[str] = []
    with suppress(OSError):
        for file in folder.iterdir() if folder else ():
            text = _text(file) or ""
            if file.name in _PLACES:
                for user in _USER.findall(text):
                    found += [user, user.partition(":")[2]]
            else:
                found += [text, *text.splitlines()]
    return found


def _text(file: Path) -> str | None:
    """Return what a file of a Secret has; None where it is no file, or no variable can have it."""
    text = None
    if file.is_file():
        with suppress(UnicodeDecodeError):
            text = file.read_bytes().decode().strip()
    return None if text is None or "\0" in text else text


def _take(folder: Path) -> None:
    """Set variables: of a Secret that is changed the kubelet changes the files."""
    with suppress(FileNotFoundError):
        told = {file: _text(file) for file in folder.iterdir() if not file.name.startswith("..")}
        given = {file: text for file, text in told.items() if text is not None}
        for name in _taken - {file.name for file in given}:
            os.environ.pop(name, None)
            _taken.discard(name)
        for file, text in given.items():
            # Google's library wants the path of a key, where a Secret has the key itself
            is_key = file.name == _GOOGLE and text.startswith("{")
            os.environ[file.name] = str(file) if is_key else text
            _taken.add(file.name)
