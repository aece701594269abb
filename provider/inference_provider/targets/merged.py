"""What several sources tell, as it comes: one thread for each."""

import queue
import threading
from collections.abc import Callable, Collection, Iterator

from inference_provider.errors import InferenceError
from inference_provider.workspace.logged import LogLine

Source = Callable[[], Iterator[LogLine]]


def merged(sources: Collection[Source]) -> Iterator[LogLine]:
    """Yield the lines of all sources until all have ended. Raises what one raises of ours."""
    lines: queue.Queue[LogLine | InferenceError | None] = queue.Queue()

    def read(source: Source) -> None:
        try:
            for line in source():
                lines.put(line)
        except InferenceError as fault:
            lines.put(fault)
        finally:
            lines.put(None)

    for source in sources:
        threading.Thread(target=read, args=(source,), daemon=True).start()
    left = len(sources)
    while left:
        line = lines.get()
        if isinstance(line, InferenceError):
            raise line
        if line is None:
            left -= 1
        else:
            yield line
