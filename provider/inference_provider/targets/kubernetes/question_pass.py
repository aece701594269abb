"""What lets a client put questions to the pods of a router: the value of a Secret of the workspace.

Their port is open to every pod of the cluster, since no NetworkPolicy can name the API server. So
who asks shows what only who may read Secrets of the namespace knows. The pods follow that Secret,
as they follow the records: another value is in force at once, without another pod.
"""

import hmac
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import (
    SECRET,
    Object,
    decoded,
    encoded,
    kind_of,
    name_of,
)
from inference_provider.targets.private_file import write_private

HEADER = "X-Inference-Pass"
TYPE = f"{names.PREFIX}/pass"
"""Type of the Secret: never that of a record."""
_PASS = "pass"
"""Its key in there."""
_FORM = re.compile(r"[A-Za-z0-9_-]{32,128}")


def with_pass(client: Client, one: Object) -> Object:
    """Return the Secret with what is in the one that is there, else with a new value.

    Any other object comes back as it is.
    """
    if kind_of(one) != SECRET:
        return one
    kept = passed_in(client.get_like(one)) or secrets.token_urlsafe(32)
    return {**one, "data": encoded({_PASS: kept})}


def passed_in(one: Object | None) -> str:
    """Return what a Secret has; empty where it is gone, or has none that a header may have."""
    found = decoded((one or {}).get("data") or {}).get(_PASS, "")
    return found if _FORM.fullmatch(found) else ""


class ShownPass:
    """What a client shows: read when it first asks, and again where that is refused.

    Args:
        client: Its cluster.
        namespace: That of the workspace.
    """

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._reading = Lock()
        self._known: str | None = None

    def get(self, refused: str | None = None) -> str:
        """Return it; empty where there is no such Secret.

        Args:
            refused: What a pod has refused: then it is read again, unless somebody has since.

        Raises:
            Forbidden: This user may not read the Secret.
        """
        with self._reading:
            if self._known is None or self._known == refused:
                there = self._client.get(SECRET, self._namespace, names.QUESTIONS_NAME)
                self._known = passed_in(there)
            return self._known


class KnownPass:
    """What a pod wants to be shown: the last value of the Secret, also after that was deleted.

    Args:
        file: Where it is kept for a container that is started again, which may not be told it soon.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last = file.read_text() if file.exists() else ""

    def learn(self, objects: Iterable[Object]) -> None:
        """Take it from the Secrets of the router, where the one is among them."""
        ours = (one for one in objects if name_of(one) == names.QUESTIONS_NAME)
        found = passed_in(next(ours, None))
        if found and found != self._last:
            self._last = found
            write_private(self._file, found)

    def is_shown(self, shown: str) -> bool:
        """Whether somebody shows it; nobody does while it is not known."""
        return bool(self._last) and hmac.compare_digest(shown.encode(), self._last.encode())
