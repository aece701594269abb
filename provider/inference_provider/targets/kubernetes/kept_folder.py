"""What a pod that gives tokens keeps beside its process, in a Secret: it outlives the pod.

These are the keys of an identity provider as they were fetched last, and what is at fault. It is a
Secret, though none of it is secret: who could change those keys could let anybody in.
"""

import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from inference_provider.targets.envoy.fetched_keys import KeptFile
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import SECRET, decoded, encoded
from inference_provider.targets.private_file import write_private

_FILES = "files.json"
_NAMES = re.compile(r"(provider-keys/)?[0-9a-z][0-9a-z-]*\.(json|fault)")
_AGAIN_S = 30.0
"""After which it is looked whether the Secret still has what was written, or takes it now."""


class KeptFolder:
    """Keeps a folder as it is.

    Args:
        client: The pod's cluster.
        namespace: Where it is.
        folder: What is kept.
    """

    def __init__(self, client: Client, namespace: str, folder: Path) -> None:
        self._client, self._namespace, self._folder = client, namespace, folder
        self._written: Mapping[str, str] | None = None
        self._refused: Mapping[str, str] | None = None
        """What was to be written last: what is refused is not tried each second."""
        self._again_s = 0.0

    def restore(self) -> None:
        """Write what the pod before has kept. Raises TargetError where that cannot be read."""
        for name, file in kept_in(self._client, self._namespace).items():
            path = self._folder / name
            write_private(path, file.text)
            os.utime(path, (file.at_s, file.at_s))

    def keep(self) -> None:
        """Write down what has changed; call it each second. Raises TargetError."""
        now_s, files = time.monotonic(), _files(self._folder)
        texts = {name: file.text for name, file in files.items()}
        if now_s < self._again_s and texts in (self._written, self._refused):
            return  # that they were fetched again is no news
        self._again_s, self._refused = now_s + _AGAIN_S, texts
        there = kept_in(self._client, self._namespace)  # somebody may have changed it
        if texts != {name: file.text for name, file in there.items()}:
            change = {"data": encoded({_FILES: json.dumps(files)})}
            self._client.merge(SECRET, self._namespace, names.WEB_NAME, change)
        self._written = texts


def kept_in(client: Client, namespace: str) -> Mapping[str, KeptFile]:
    """Return the files that are kept, by their paths in the folder; none where nothing is.

    Raises:
        TargetError: The Secret cannot be read.
    """
    there = client.get(SECRET, namespace, names.WEB_NAME)
    try:
        text = decoded((there or {}).get("data") or {}).get(_FILES, "")
        said = json.loads(text).items()
        found = {name: KeptFile(str(text), float(at_s)) for name, (text, at_s) in said}
    except (ValueError, TypeError, AttributeError):  # nothing yet, or not what this release writes
        return {}
    return {name: file for name, file in found.items() if _NAMES.fullmatch(name)}


def _files(folder: Path) -> dict[str, KeptFile]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if _NAMES.fullmatch(name):
            with suppress(OSError):  # it has gone since
                found[name] = KeptFile(path.read_text(errors="replace"), path.stat().st_mtime)
    return found
