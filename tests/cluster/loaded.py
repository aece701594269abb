"""A workspace in the cluster that is put under load."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.labs import KubernetesLab

MANY = {"max_concurrent_requests_per_instance": 64}


@contextmanager
def loaded(
    name: str, *others: str, kind: type[KubernetesLab] = KubernetesLab
) -> Iterator[KubernetesLab]:
    """Have a workspace with deployment blue, and others, that take many requests at once."""
    with tempfile.TemporaryDirectory(prefix="inf-") as folder:
        lab = kind(kind.open(Path(folder)), Path(folder), f"{name}{os.getpid()}")
        try:
            lab.up()
            for deployment in ("blue", *others):
                lab.apply(lab.deployment(deployment, request_settings=MANY))
            yield lab
        finally:
            lab.close()
            lab.platform.close()
