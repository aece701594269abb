"""Puts images into a cluster's container runtime, from root file systems and archives."""

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tests.cluster.places import Places


def load_image(
    at: Places,
    name: str,
    root: Path,
    *,
    command: Sequence[str] = (),
    environment: Sequence[str] = (),
) -> None:
    """Make an image of one layer, the tar of a root file system, and load it."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Cmd": list(command),
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *environment],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_hash(root)}"]},
        "history": [{"created_by": "tests"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with _import(at) as stdin, tarfile.open(fileobj=stdin, mode="w|") as archive:
        _add(archive, "manifest.json", json.dumps(manifest).encode())
        _add(archive, "config.json", json.dumps(config).encode())
        archive.add(root, "layer.tar")


def load(at: Places, name: str, file: Path) -> None:
    """Load an image from the tar of a root file system, or all of what `docker save` wrote."""
    with tarfile.open(file) as archive:
        saved = any(one.name in {"manifest.json", "oci-layout"} for one in archive)
    if not saved:
        load_image(at, name, file)
        return
    with file.open("rb") as given, _import(at, stdin=given):
        pass


def load_program(at: Places, name: str, program: Path, *more: Path) -> None:
    """Load an image of one static program, which it runs, and of no more files than are named."""
    root = at.run / f"{program.name}.tar"
    with tarfile.open(root, "w") as layer:
        layer.add(program, program.name)
        for one in more:
            layer.add(one, str(one).removeprefix("/"))
    load_image(at, name, root, command=[f"/{program.name}"])


def load_on(at: Places, base: str, name: str, layer: Path) -> None:
    """Load an image that is another one of the cluster with one more layer, the tar of files."""
    manifest = json.loads(_content(at, _digest(at, base)))
    config = json.loads(_content(at, manifest["config"]["digest"]))
    digest = f"sha256:{_hash(layer)}"
    config["rootfs"]["diff_ids"].append(digest)
    config.setdefault("history", []).append({"created_by": "tests"})
    kind = "application/vnd.docker.image.rootfs.diff.tar"
    size = layer.stat().st_size
    manifest["layers"].append({"mediaType": kind, "digest": digest, "size": size})
    with _import(at) as stdin, tarfile.open(fileobj=stdin, mode="w|") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        archive.add(layer, f"blobs/sha256/{digest.removeprefix('sha256:')}")
        manifest["config"] |= _add_blob(archive, config)
        about = {"mediaType": manifest["mediaType"], **_add_blob(archive, manifest)}
        named = {"io.containerd.image.name": f"docker.io/library/{name}"}
        index = {"schemaVersion": 2, "manifests": [{**about, "annotations": named}]}
        _add(archive, "index.json", json.dumps(index).encode())


def _add_blob(archive: tarfile.TarFile, content: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(content).encode()
    digest = hashlib.sha256(text).hexdigest()
    _add(archive, f"blobs/sha256/{digest}", text)
    return {"digest": f"sha256:{digest}", "size": len(text)}


def _digest(at: Places, name: str) -> str:
    """Return the digest of the manifest of an image that the cluster has."""
    lines = _told(at, "images", "ls").splitlines()
    [digest] = [line.split()[2] for line in lines if line.startswith(f"docker.io/library/{name} ")]
    return digest


def _content(at: Places, digest: str) -> str:
    return _told(at, "content", "get", digest)


def _told(at: Places, *asked: str) -> str:
    ran = subprocess.run(
        [*_ctr(at), *asked], env=at.surroundings(), capture_output=True, text=True, check=True
    )
    return ran.stdout


def names(at: Places) -> set[str]:
    """List the images that the cluster has."""
    return set(_told(at, "images", "ls", "-q").split())


def tag(at: Places, name: str, also: str) -> None:
    """Give an image another name too."""
    called = [f"docker.io/library/{one}" for one in (name, also)]
    subprocess.run(
        [*_ctr(at), "images", "tag", "--force", *called],
        env=at.surroundings(),
        stdout=subprocess.DEVNULL,
        check=True,
    )


def remove(at: Places, *given: str) -> None:
    """Remove images; a cluster keeps them else, and so does the next."""
    subprocess.run(
        [*_ctr(at), "images", "rm", *given],
        env=at.surroundings(),
        stdout=subprocess.DEVNULL,
        check=True,
    )


def allow_plain_http(at: Places, registry: str, address: str = "") -> None:
    """Let the cluster pull from a registry of this machine, at `places.LINK_HERE` and a port.

    Where images call it otherwise, as an Engine of this machine does, `address` is that one.
    """
    told = at.run / "registries" / registry / "hosts.toml"
    told.parent.mkdir(parents=True)
    host = f"http://{address or registry}"
    told.write_text(f'server = "{host}"\n[host."{host}"]\ncapabilities = ["pull", "resolve"]\n')


def _ctr(at: Places) -> list[str]:
    return ["ctr", "--address", str(at.socket), "--namespace", "k8s.io"]


@contextlib.contextmanager
def _import(at: Places, stdin: IO[bytes] | int = subprocess.PIPE) -> Iterator[IO[bytes] | None]:
    command = [*_ctr(at), "images", "import", "-"]
    with subprocess.Popen(
        command,
        env=at.surroundings(),
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as importing:
        with contextlib.suppress(BrokenPipeError):  # it says itself why it ended
            yield importing.stdin
        _, told = importing.communicate()
    if importing.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {importing.returncode}: {told.decode()}"
        )


def _hash(file: Path) -> str:
    with file.open("rb") as given:
        return hashlib.file_digest(given, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
