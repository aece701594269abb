"""Where a cluster is and how it is entered: a kubeconfig, or the service account of a pod.

Reads what kubectl reads: the files of `$KUBECONFIG`, else `~/.kube/config`; inside a pod without
either, its service account. Credentials come from the file, from a file that it names, or from a
program (`exec`), which is how managed clusters and OIDC logins give them.
"""

import base64
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from inference_provider.errors import TargetError, at_most

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "the service account of this pod"
_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_EXEC_LIMIT_S = 60
_TOKEN_AGE_S = 60.0
"""A token in a file is replaced now and then; it is read again after this time."""
_EARLY_S = 30.0
"""Time before its end at which a credential is fetched again."""
_PAUSE_S = 5.0
"""Time between two requests for one that has not ended: a program may keep its own as long."""
_SHOWN = 300

Section = Mapping[str, Any]
_Certificate = tuple[bytes, bytes]


@dataclass(frozen=True)
class Access:
    """One cluster, and how this client enters it."""

    name: str
    """The context that names it, or IN_CLUSTER."""
    server: str
    """URL of its API server."""
    namespace: str
    """That of the context; empty when it names none."""
    tls: ssl.SSLContext
    """That of its first connection; `current_tls` says which one now."""
    token: Callable[[], str]
    """Returns the bearer token to send now; empty where a certificate says who calls.

    Raises TargetError.
    """
    proxy: str | None = None
    server_name: str = ""
    """Name that its certificate has, where that is not the one in `server`."""
    contexts: tuple[str, ...] = ()
    """All of the kubeconfig."""
    renew: Callable[[], None] = lambda: None
    """Lets the next token, and certificate, be another one where that can be had: this one was
    refused."""
    renewed_tls: Callable[[], ssl.SSLContext | None] = lambda: None
    """Returns what takes the place of `tls` once the client's certificate is another one."""

    def current_tls(self) -> ssl.SSLContext:
        """Return what a new connection is made with. Raises TargetError."""
        return self.renewed_tls() or self.tls


def access(context: str | None) -> Access:
    """Return how to enter the cluster that a context names.

    Args:
        context: A context of the kubeconfig; its current one if None, and without a kubeconfig
            that of the pod that this runs in.

    Raises:
        TargetError: There is no such context, or it cannot be used.
    """
    files = _files()
    if not files and context is None and (SERVICE_ACCOUNT / "token").exists():
        return _in_cluster()
    if not files:
        where = os.environ.get("KUBECONFIG") or "~/.kube/config"
        remedy = "set KUBECONFIG, or log in to the cluster, which writes one"
        raise _unusable(context, f"there is no kubeconfig at {where}", remedy)
    found = _Kubeconfig(files)
    return found.access(context or found.current())


def _files() -> list[Path]:
    listed = os.environ.get("KUBECONFIG")
    names = listed.split(os.pathsep) if listed else ["~/.kube/config"]
    return [path for name in names if name and (path := Path(name).expanduser()).is_file()]


def _unusable(context: str | None, reason: str, remedy: str = "") -> TargetError:
    remedy = remedy or "name a context of the kubeconfig: `kubectl config get-contexts` lists them"
    what = f"Kubernetes context '{context}'" if context else "the current Kubernetes context"
    return TargetError("use", what, reason, remedy)


def _in_cluster() -> Access:
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = _TokenFile(SERVICE_ACCOUNT / "token")
    return Access(
        name=IN_CLUSTER,
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=(SERVICE_ACCOUNT / "namespace").read_text().strip(),
        tls=ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt")),
        token=token.read,
        renew=token.forget,
    )


class _Kubeconfig:
    """One kubeconfig, of one file or several; what an earlier file says wins."""

    def __init__(self, files: list[Path]) -> None:
        self._documents = [(path, _document(path)) for path in files]

    def current(self) -> str:
        for _path, document in self._documents:
            if name := document.get("current-context"):
                return str(name)
        raise _unusable(None, "the kubeconfig names none")

    def access(self, context: str) -> Access:
        asked = self._named("contexts", "context", context)
        if asked is None:
            there = ", ".join(at_most(self._contexts())) or "none"
            remedy = f"name one of those that there are: {there}"
            raise _unusable(context, "the kubeconfig has no such context", remedy)
        _, names = asked
        cluster = self._needed("clusters", "cluster", str(names.get("cluster")), context)
        user = self._needed("users", "user", str(names.get("user")), context)
        server = cluster[1].get("server")
        if not server:
            raise _unusable(context, f"its cluster '{names.get('cluster')}' has no server")
        login = _Login(context, *user, partial(_tls, context, cluster))
        return Access(
            name=context,
            server=str(server).rstrip("/"),
            namespace=str(names.get("namespace") or ""),
            tls=login.tls(),
            token=login.token,
            proxy=cluster[1].get("proxy-url"),
            server_name=str(cluster[1].get("tls-server-name") or ""),
            contexts=self._contexts(),
            renew=login.renew,
            renewed_tls=login.tls,
        )

    def _contexts(self) -> tuple[str, ...]:
        listed = (one for _, found in self._documents for one in found.get("contexts") or ())
        return tuple(dict.fromkeys(str(one.get("name")) for one in listed))

    def _named(self, listing: str, field: str, name: str) -> tuple[Path, Section] | None:
        for path, document in self._documents:
            for one in document.get(listing) or ():
                if one.get("name") == name:
                    return path, one.get(field) or {}
        return None

    def _needed(self, listing: str, field: str, name: str, context: str) -> tuple[Path, Section]:
        found = self._named(listing, field, name)
        if found is None:
            raise _unusable(context, f"the kubeconfig has no {field} '{name}', which it names")
        return found


def _document(path: Path) -> Section:
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as fault:  # never quoted: it may hold a token
        reason = f"cannot be read: {type(fault).__name__}"
        raise TargetError("read", f"kubeconfig {path}", reason, "mend or remove it") from None
    if not isinstance(found, Mapping):
        raise TargetError("read", f"kubeconfig {path}", "is not a mapping", "mend or remove it")
    return found


class _Login:
    """The user of a context: its certificate and its token, fetched when they are first needed.

    Args:
        context: The context's name.
        path: The file that it is in.
        user: What that says of it.
        tls: Returns how to enter its cluster with a certificate and its key.
    """

    def __init__(
        self,
        context: str,
        path: Path,
        user: Section,
        tls: Callable[[_Certificate | None], ssl.SSLContext],
    ) -> None:
        self._context = context
        self.path = path
        self.user = user
        self._with = tls
        self._tls: ssl.SSLContext | None = None
        self._certificate: _Certificate | None = None
        self._fetching = threading.RLock()
        self._fetched: Section = {}
        self._asked_s = self._until_s = 0.0
        self._may_differ = False
        self._file = _TokenFile(path.parent / str(user.get("tokenFile")))
        self._given: Callable[[], str] = self._token()
        if "auth-provider" in user:
            remedy = "use a login by `exec`, for example kubelogin or the cloud's own plugin"
            raise _unusable(context, "its `auth-provider` is of an older Kubernetes", remedy)
        if "password" in user:
            raise _unusable(context, "Kubernetes takes no passwords", "use a token")

    def token(self) -> str:
        """Return the token to send now; never one that an error about a header would quote."""
        token = self._given().strip()
        if token and not (token.isascii() and token.isprintable()):
            reason = "its token has characters that no header may have"
            raise _unusable(self._context, reason, "log in again")
        return token

    def _token(self) -> Callable[[], str]:
        if "exec" in self.user:
            return lambda: str(self._executed().get("token") or "")
        if self.user.get("tokenFile"):
            return self._file.read
        return lambda: str(self.user.get("token") or "")

    def renew(self) -> None:
        """Read token and certificate again, or ask the context's program for others."""
        self._file.forget()
        self._until_s = 0.0
        self._may_differ = True

    def tls(self) -> ssl.SSLContext:
        """Return how to enter the cluster now; the same until the certificate is another one."""
        with self._fetching:
            if self._tls is None or self._may_differ or "exec" in self.user:
                given = self._certificate_now()
                if self._tls is None or given != self._certificate:
                    self._tls, self._certificate = self._with(given), given
                self._may_differ = False
            return self._tls

    def _certificate_now(self) -> _Certificate | None:
        try:
            return self._read_certificate()
        except (OSError, ValueError, KeyError) as fault:  # what it says may be the key
            raise _unreadable(self._context, fault) from None

    def _read_certificate(self) -> _Certificate | None:
        """Return the client's certificate and key, PEM; None when it has none."""
        cert, key = self.user.get("client-certificate"), self.user.get("client-key")
        if "client-certificate-data" in self.user:
            encoded = (self.user[f"client-{n}-data"] for n in ("certificate", "key"))
            first, second = (base64.b64decode(str(one)) for one in encoded)
            return first, second
        if cert and key:
            return tuple((self.path.parent / str(n)).read_bytes() for n in (cert, key))  # type: ignore[return-value]
        if "exec" in self.user:
            given = self._executed()
            if "clientCertificateData" in given:
                return (
                    str(given["clientCertificateData"]).encode(),
                    str(given["clientKeyData"]).encode(),
                )
        return None

    def _executed(self) -> Section:
        """Return the credentials that the context's program gives; asks it again when they end."""
        with self._fetching:  # many threads see them end at once, and one login is enough
            now_s = time.time()
            is_early = self._asked_s <= now_s < min(self._until_s, self._asked_s + _PAUSE_S)
            if now_s >= self._until_s - _EARLY_S and not is_early:
                self._fetched = self._execute()
                self._asked_s, self._until_s = now_s, self._end_of(self._fetched)
            return self._fetched

    def _end_of(self, fetched: Section) -> float:
        ends = fetched.get("expirationTimestamp")
        try:
            return datetime.fromisoformat(str(ends)).timestamp() if ends else float("inf")
        except ValueError:
            reason = "the expirationTimestamp of its login program is not a time"
            raise _unusable(self._context, reason, "mend the program") from None

    def _execute(self) -> Section:
        asked = self.user["exec"]
        version, program = str(asked.get("apiVersion")), str(asked.get("command"))
        if version not in _EXEC_VERSIONS:
            raise _unusable(self._context, f"its exec apiVersion '{version}' is not supported")
        given = {str(e["name"]): str(e["value"]) for e in asked.get("env") or ()}
        about = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        told = {"KUBERNETES_EXEC_INFO": json.dumps(about)}
        try:
            ran = subprocess.run(
                [program, *map(str, asked.get("args") or ())],
                env={**os.environ, **told, **given},
                cwd=self.path.parent if program.startswith(".") else None,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_EXEC_LIMIT_S,
                check=True,
            )
            return dict(json.loads(ran.stdout)["status"])
        except FileNotFoundError:
            reason, remedy = f"its login program '{program}' is not there", "install it"
        except subprocess.TimeoutExpired:
            reason = f"its login program '{program}' took more than {_EXEC_LIMIT_S} s"
            remedy = "run it by hand: it may ask something"
        except subprocess.CalledProcessError as failed:
            said = " ".join(failed.stderr.decode(errors="replace").split())[-_SHOWN:]
            reason = f"its login program '{program}' failed: {said or 'it said nothing'}"
            remedy = "log in again"
        except (ValueError, KeyError, TypeError):  # what it printed may be a token
            reason, remedy = f"its login program '{program}' gave no credentials", "log in again"
        raise _unusable(self._context, reason, remedy)


class _TokenFile:
    """A token that somebody else keeps fresh."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = ""
        self._read_s = float("-inf")

    def read(self) -> str:
        if time.monotonic() - self._read_s > _TOKEN_AGE_S:
            try:
                self._known = self._path.read_text().strip()
            except OSError as fault:
                reason = f"cannot be read: {fault.strerror}"
                remedy = "mend the context"
                raise TargetError("read", f"token {self._path}", reason, remedy) from None
            self._read_s = time.monotonic()
        return self._known

    def forget(self) -> None:
        self._read_s = float("-inf")


def _tls(
    context: str, cluster: tuple[Path, Section], certificate: _Certificate | None
) -> ssl.SSLContext:
    path, found = cluster
    data, file = found.get("certificate-authority-data"), found.get("certificate-authority")
    try:
        authority = base64.b64decode(str(data)).decode() if data else None
        made = ssl.create_default_context(
            cadata=authority, cafile=str(path.parent / str(file)) if file and not data else None
        )
        if found.get("insecure-skip-tls-verify"):
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        if certificate is not None:
            with _files_of(*certificate) as names:
                made.load_cert_chain(*names)
    except (OSError, ValueError) as fault:  # an SSLError is an OSError
        raise _unreadable(context, fault) from None
    return made


def _unreadable(context: str, fault: Exception) -> TargetError:
    reason = f"its certificates cannot be read: {type(fault).__name__}"
    return _unusable(context, reason, "log in again")


@contextmanager
def _files_of(certificate: bytes, key: bytes) -> Iterator[tuple[str, str]]:
    """Write a certificate and its key for as long as Python's ssl reads them: it takes no bytes."""
    with tempfile.TemporaryDirectory(prefix="inference-") as folder:
        names = Path(folder, "certificate"), Path(folder, "key")
        for name, content in zip(names, (certificate, key), strict=True):
            name.touch(mode=0o600)
            name.write_bytes(content)
        yield str(names[0]), str(names[1])
