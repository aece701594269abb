"""A change of one resource's files: all of it, or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference_provider.observed import ResourceId
from inference_provider.targets.local.store import Store, write_private


@contextmanager
def put_back_on_failure(store: Store, resource: ResourceId) -> Iterator[None]:
    """Put a resource's files back as they were when the block raises; hold the state lock."""
    before = {path: _text(path) for path in store.files_of(resource)}
    try:
        yield
    except BaseException:
        for path, text in before.items():
            if text is None:
                path.unlink(missing_ok=True)
            elif _text(path) != text:
                write_private(path, text)
        raise


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
