"""Puts images into a cluster's container runtime, from root file systems and archives."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.places import Places

_CHUNK = 1 << 20


def load_image(
    at: Places,
    name: str,
    root: Path,
    *,
    command: Sequence[str] = (),
    environment: Sequence[str] = (),
) -> None:
    """Make an image of one layer, the tar of a root file system, and load it."""
    importing = _import(at)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": list(command), "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *environment]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_hash(root)}"]},
        "history": [{"created_by": "tests"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with importing, tarfile.open(fileobj=importing.stdin, mode="w|") as archive:
        _add(archive, "manifest.json", json.dumps(manifest).encode())
        _add(archive, "config.json", json.dumps(config).encode())
        archive.add(root, "layer.tar")
    _check(importing, name)


def load_archive(at: Places, archive: Path) -> None:
    """Load what `docker save` wrote, or an OCI archive."""
    with archive.open("rb") as given, _import(at, stdin=given) as importing:
        pass
    _check(importing, str(archive))


def load_program(at: Places, name: str, program: Path) -> None:
    """Load an image whose only file is one static program, which it runs."""
    root = at.run / f"{program.name}.tar"
    with tarfile.open(root, "w") as layer:
        layer.add(program, program.name)
    load_image(at, name, root, command=[f"/{program.name}"])


def names(at: Places) -> set[str]:
    """List the images that the cluster has."""
    listed = subprocess.run(
        [*_ctr(at), "images", "ls", "-q"], env=at.surroundings(), capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


def _ctr(at: Places) -> list[str]:
    return ["ctr", "--address", str(at.socket), "--namespace", "k8s.io"]


def _import(at: Places, stdin=subprocess.PIPE) -> subprocess.Popen:
    return subprocess.Popen(
        [*_ctr(at), "images", "import", "-"],
        env=at.surroundings(),
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _check(importing: subprocess.Popen, name: str) -> None:
    if importing.returncode:
        raise RuntimeError(f"cannot load image {name}: ctr ended with {importing.returncode}")


def _hash(file: Path) -> str:
    with file.open("rb") as given:
        return hashlib.file_digest(given, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
