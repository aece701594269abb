"""YAML text -> plain values, and the line each value stands on.

Goes in: the bytes of one document. Comes out: values, a `LineMap`, and faults for duplicate keys.
What the values mean is decided in `stack_file.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from inference_provider.errors import Fault

MAX_NODES = 100_000
"""Far above any stack; stops aliases of aliases from filling the memory."""

_TAKEN_FOR_SYNTAX = re.compile(r"""(alias|tag handle|tag) ['"].*""", re.DOTALL)
"""What YAML quotes here may be a password that starts with `*` or `!` and stands without quotes."""


@dataclass
class LineMap:
    """Lines by dotted path, counted from 1."""

    lines: dict[str, int] = field(default_factory=dict)

    def line(self, path: str) -> int | None:
        """Return the line of a path, or of its nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path)


@dataclass(frozen=True)
class Document:
    """What one YAML document says."""

    value: Any
    lines: LineMap
    faults: tuple[Fault, ...]


def read_document(text: bytes) -> Document:
    """Read one YAML document; a syntax error is a fault, the value then None."""
    reader = _Reader()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        value = None if node is None else reader.read(loader, node, "")
    except yaml.YAMLError as exc:
        return Document(None, reader.lines, (_syntax_fault(exc),))
    except RecursionError:
        fault = Fault("YAML", "nested too deeply to be read", "a stack has a few levels")
        return Document(None, reader.lines, (fault,))
    return Document(value, reader.lines, tuple(reader.faults))


def _syntax_fault(exc: yaml.YAMLError) -> Fault:
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or "the text cannot be read as UTF-8"
    line = mark.line + 1 if mark is not None else None
    said = str(problem).removeprefix("but ")
    nameless = _TAKEN_FOR_SYNTAX.sub(r"\1", said)
    if nameless != said:
        return Fault("YAML", nameless, "put a value that starts with `*` or `!` in quotes", line)
    return Fault("YAML", said, "mend the syntax at or just before this line", line)


class _Reader:
    """Walks the nodes, noting lines and duplicate keys."""

    def __init__(self) -> None:
        self.lines = LineMap()
        self.faults: list[Fault] = []
        self._open: list[yaml.Node] = []
        self._count = 0

    def read(self, loader: yaml.SafeLoader, node: yaml.Node, path: str) -> Any:
        self._count += 1
        if node in self._open or self._count > MAX_NODES:
            raise yaml.constructor.ConstructorError(
                None, None, "an alias repeats itself without end", node.start_mark
            )
        self._open.append(node)
        try:
            return self._read(loader, node, path)
        finally:
            self._open.pop()

    def _read(self, loader: yaml.SafeLoader, node: yaml.Node, path: str) -> Any:
        self.lines.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(loader, node, path))
        if isinstance(node, yaml.SequenceNode):
            return [
                self.read(loader, item, join(path, str(i))) for i, item in enumerate(node.value)
            ]
        try:
            return loader.construct_object(node)
        except (ValueError, AttributeError, KeyError):
            # 2024-13-45 looks like a date to YAML, and is none; so `!!timestamp x`, `!!bool x`.
            loader.recursive_objects.pop(node, None)  # a merged node is read once more
            reason = "YAML takes it for a date or a number, and it is none"
            self.faults.append(Fault(path, reason, "put it in quotes", node.start_mark.line + 1))
            return str(node.value)

    def _pairs(
        self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: str
    ) -> Iterator[tuple[str, Any]]:
        self._note_duplicates(node, path)
        loader.flatten_mapping(node)
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is not plain text", key_node.start_mark
                )
            # The text as written: a deployment may be called `on`, a tag `1.10`.
            key = key_node.value
            self.lines.lines[join(path, key)] = key_node.start_mark.line + 1
            yield key, self.read(loader, value_node, join(path, key))

    def _note_duplicates(self, node: yaml.MappingNode, path: str) -> None:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in seen and isinstance(key_node, yaml.ScalarNode):
                reason = f"written twice in one mapping, first on line {seen[key]}"
                self.faults.append(Fault(join(path, key), reason, "keep one of them", line))
            seen.setdefault(key, line)


def join(path: str, key: str) -> str:
    """Return the dotted path of `key` under `path`."""
    return f"{path}.{key}" if path else key
