"""Which lines a person picks of those that a target gives, by a pattern or a request's id."""

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

from inference_provider.errors import Fault, SpecError
from inference_provider.observed import ResourceId
from inference_provider.workspace.engine import Engine
from inference_provider.workspace.logged import LogLine, LogQuery

_SEARCHED = 100_000
"""Last lines of each instance that are searched."""


class Picked(NamedTuple):
    """A pattern, and an id; nothing is picked out where there is neither."""

    pattern: re.Pattern[str] | None
    request_id: str

    @classmethod
    def of(cls, grep: str, request_id: str) -> "Picked":
        """Raises SpecError for what is no regular expression."""
        try:
            return cls(re.compile(grep) if grep else None, request_id)
        except re.error as wrong:
            fault = Fault("--grep", f"'{grep}' is no pattern: {wrong}", "escape it with \\")
            raise SpecError((fault,), "the command line") from None

    def takes(self, text: str) -> bool:
        found = self.pattern is None or self.pattern.search(text) is not None
        return found and (not self.request_id or self._names_it(text))

    def _names_it(self, text: str) -> bool:
        """Whether an id is there as a word: r-1 is not meant by r-10."""
        word = rf"(?<![\w-]){re.escape(self.request_id)}(?![\w-])"
        return self.request_id in text and re.search(word, text) is not None

    def lines(self, target: Engine, deployment: ResourceId, query: LogQuery) -> Iterator[LogLine]:
        """Yield the last lines of each instance that are taken, then new ones when following."""
        if self.pattern is None and not self.request_id:
            yield from target.logs(deployment, query)
            return
        if query.lines:
            searched = query.model_copy(update={"lines": _SEARCHED, "follow": False})
            yield from self._last(target.logs(deployment, searched), query.lines)
        if query.follow:
            new = target.logs(deployment, query.model_copy(update={"lines": 0}))
            yield from (line for line in new if self.takes(line.text))

    def _last(self, lines: Iterator[LogLine], count: int) -> Iterator[LogLine]:
        found: dict[str, deque[LogLine]] = defaultdict(lambda: deque(maxlen=count))
        for line in lines:
            if self.takes(line.text):
                found[line.instance].append(line)
        for of_one in found.values():
            yield from of_one
