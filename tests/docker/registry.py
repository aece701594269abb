"""A registry in this process: the part of the distribution API that an Engine pushes and pulls by.

It listens on 127.0.0.1, which every Engine takes for a registry without TLS, or where a cluster
reaches it.
"""

import base64
import hashlib
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<what>[^/]+|uploads/[^/]*)$")


class Registry(ThreadingHTTPServer):
    """Blobs and manifests in memory; with a user, nobody else may ask for anything."""

    daemon_threads = True

    def __init__(self, user: str = "", password: str = "", *, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Handler)
        self._address = address
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.authorization = f"Basic {token}" if user else ""
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        """Type and text, by `<name>:<tag>` and `<name>@<digest>`."""
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self) -> "Registry":
        self._thread.start()
        return self

    def __exit__(self, *_given) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def host(self) -> str:
        return f"{self._address}:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, *_given) -> None:
        pass

    def _serve(self) -> None:
        body = self._body()
        allowed = self.server.authorization in ("", self.headers.get("authorization"))
        if not allowed:
            return self._say(401, headers={"WWW-Authenticate": 'Basic realm="tests"'})
        url = urlsplit(self.path)
        found = _PATH.match(url.path)
        if found is None:
            return self._say(200 if url.path == "/v2/" else 404)
        name, kind, what = found.group("name", "kind", "what")
        if what.startswith("uploads/"):
            return self._upload(name, what.removeprefix("uploads/"), url.query, body)
        if kind == "blobs":
            return self._found("application/octet-stream", what, self.server.blobs.get(what))
        return self._manifest(name, what, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve

    def _upload(self, name: str, upload: str, query: str, body: bytes) -> None:
        upload = upload or uuid.uuid4().hex
        content = self.server.uploads[upload] = self.server.uploads.get(upload, b"") + body
        digest = parse_qs(query).get("digest", [""])[0]
        place = f"/v2/{name}/blobs/uploads/{upload}"
        if self.command == "PUT":
            self.server.blobs[digest] = self.server.uploads.pop(upload)
            return self._say(201, headers={"Docker-Content-Digest": digest, "Location": place})
        told = {"Docker-Upload-UUID": upload, "Range": f"0-{max(0, len(content) - 1)}"}
        return self._say(202, headers={"Location": place, **told})

    def _manifest(self, name: str, what: str, body: bytes) -> None:
        mark = "@" if what.startswith("sha256:") else ":"
        if self.command == "PUT":
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            given = self.headers["content-type"], body
            self.server.manifests |= {f"{name}{mark}{what}": given, f"{name}@{digest}": given}
            return self._say(201, headers={"Docker-Content-Digest": digest})
        kind, text = self.server.manifests.get(f"{name}{mark}{what}", ("", None))
        digest = f"sha256:{hashlib.sha256(text or b'').hexdigest()}"
        return self._found(kind, digest, text)

    def _found(self, kind: str, digest: str, content: bytes | None) -> None:
        if content is None:
            unknown = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
            return self._say(404, unknown, {"Content-Type": "application/json"})
        return self._say(200, content, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        told = {"Docker-Distribution-Api-Version": "registry/2.0", **(headers or {})}
        for name, value in told.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
