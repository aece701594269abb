"""The server of a content pod, on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference_provider.targets.kubernetes.content_server import Server


@contextmanager
def content_server(volume: Path) -> Iterator[Server]:
    """Serve a folder, which is made, as the volume of a content pod."""
    volume.mkdir()
    with Server(volume, "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()
