"""YAML text -> plain values, and the line of each value.

Goes in: the text of one document. Comes out: values, a `LineMap`, and faults for duplicate keys.
What the values mean is decided in `stack_file.py`. One pass over the parser's events: an alias
shares the value that it names, so that its cost is known before anything is copied.
"""

import re
from typing import Any, NamedTuple

import yaml

from inference_provider.errors import Fault

MAX_EXPANDED = 500_000
"""Most values that all aliases of a document may expand to; what is written out is bounded by the
file's size."""
MAX_DEPTH = 100
"""A stack file has about five levels."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser takes a tenth of the time; PyYAML's wheels all bring it."""
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"

_TAKEN_FOR_SYNTAX = re.compile(
    r"(alphabetic or numeric character|tag handle|tag)( '.*)?$", re.DOTALL
)
"""What YAML quotes here may be an unquoted password that starts with `*` or `!`."""

_Lines = dict[str, tuple[int, Any]] | list[tuple[int, Any]] | None
"""The line of each value of a mapping or a list, and the lines inside it."""


class LineMap:
    """Lines by dotted path, counted from 1."""

    def __init__(self, inside: _Lines = None, first: int | None = None) -> None:
        self._inside = inside
        self._first = first

    def line(self, path: str) -> int | None:
        """Return the line of a path, or of its nearest parent in the file."""
        line, inside, parts = self._first if path else None, self._inside, path.split(".")
        while parts:
            # A key may contain dots: the longest match is meant.
            taken = next((n for n in range(len(parts), 0, -1) if _has(inside, parts[:n])), 0)
            if not taken:
                break
            key = ".".join(parts[:taken])
            line, inside = inside[key] if isinstance(inside, dict) else inside[int(key)]  # type: ignore[index]
            parts = parts[taken:]
        return line


def _has(inside: _Lines, parts: list[str]) -> bool:
    key = ".".join(parts)
    if isinstance(inside, list):
        return key.isdecimal() and int(key) < len(inside)
    return inside is not None and key in inside


class Document(NamedTuple):
    """What one YAML document says."""

    value: Any
    lines: LineMap
    faults: tuple[Fault, ...]


class _Node(NamedTuple):
    """A value that has been read."""

    value: Any
    lines: _Lines = None
    text: str | None = None
    """A scalar as it is written: a key may be `on` or `1.10`."""
    size: int = 1
    """Values in it, itself included, those that its aliases stand for too."""
    height: int = 0
    """Levels below it."""


def read_document(text: str) -> Document:
    """Read one YAML document; a syntax error is a fault, the value then None."""
    content = text.encode()
    try:
        reader = _Reader(content)
        root, first = reader.document()
    except yaml.reader.ReaderError as exc:
        line = content.count(b"\n", 0, exc.position) + 1
        reason = f"YAML does not allow the character with code {exc.character}"
        return Document(None, LineMap(), (Fault("YAML", reason, "remove it", line),))
    except yaml.YAMLError as exc:
        return Document(None, LineMap(), (_syntax_fault(exc),))
    except _Refused as exc:
        return Document(None, LineMap(), (exc.fault,))
    return Document(root.value, LineMap(root.lines, first), tuple(reader.faults))


def _syntax_fault(exc: yaml.YAMLError) -> Fault:
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or "the text cannot be read"
    line = mark.line + 1 if mark is not None else None
    said = str(problem).removeprefix("but ")
    nameless, quoted = _TAKEN_FOR_SYNTAX.subn(r"\1", said)
    if quoted:
        return Fault("YAML", nameless, "put a value that starts with `*` or `!` in quotes", line)
    remedy = "fix the syntax at or just before this line"
    if "tab character" in said:
        remedy = "indent with spaces"
    elif "cannot start any token" in said:
        remedy = "indent with spaces, not tabs; put a value that starts with @, % or ` in quotes"
    return Fault("YAML", said, remedy, line)


class _Refused(Exception):
    """The document is YAML, but is refused."""

    def __init__(self, event: Any, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.fault = Fault("YAML", reason, remedy, event.start_mark.line + 1)


class _Reader:
    """Builds values from events, noting lines and duplicate keys."""

    def __init__(self, content: bytes) -> None:
        self.faults: list[Fault] = []
        self._loader = _Loader(content)
        self._anchors: dict[str, _Node | None] = {}
        """None while what an anchor names is being read."""
        self._path: list[str] = []
        self._expanded = 0

    def document(self) -> tuple[_Node, int | None]:
        """Return the only document's value and the line on which it starts."""
        self._loader.get_event()
        if self._loader.check_event(yaml.StreamEndEvent):
            return _Node(None), None
        self._loader.get_event()
        line, root = self._item()
        self._loader.get_event()
        if not self._loader.check_event(yaml.StreamEndEvent):
            another = self._loader.get_event()
            raise _Refused(another, "more than one document", "keep one document per file")
        return root, line

    def _item(self, key: str = "") -> tuple[int, _Node]:
        """Read the next value, which stands under `key`; return it and its line."""
        event = self._loader.get_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            return line, self._aliased(event)
        if event.anchor is not None:
            if event.anchor in self._anchors:
                raise _Refused(event, "an anchor is defined twice", "rename one of them")
            self._anchors[event.anchor] = None
        self._path.append(key)
        node = self._read(event)
        self._path.pop()
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return line, node

    def _read(self, event: Any) -> _Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        self._refuse_depth(event, len(self._path))
        return self._sequence() if isinstance(event, yaml.SequenceStartEvent) else self._mapping()

    def _aliased(self, event: Any) -> _Node:
        if event.anchor not in self._anchors:
            reason = "an alias without an anchor before it"  # it may be a password
            raise _Refused(event, reason, "put a value that starts with `*` in quotes")
        node = self._anchors[event.anchor]
        if node is None:
            reason = "an alias refers to itself"
            raise _Refused(event, reason, "remove it")
        self._expanded += node.size
        if self._expanded > MAX_EXPANDED:
            reason = f"aliases expand to more than {MAX_EXPANDED:,} values"
            raise _Refused(event, reason, "use fewer of them, or a smaller anchor")
        self._refuse_depth(event, len(self._path) + node.height)
        return node

    @staticmethod
    def _refuse_depth(event: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            reason = f"nested too deeply: more than {MAX_DEPTH} levels"
            raise _Refused(event, reason, "use fewer levels")

    def _scalar(self, event: Any) -> _Node:
        text = event.value
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, text, event.implicit)
        if tag == _TEXT:
            return _Node(text, text=text)
        node = yaml.ScalarNode(tag, text, event.start_mark, event.end_mark, event.style)
        try:
            value = self._loader.construct_object(node)
        except (ValueError, AttributeError, KeyError):
            # 2024-13-45 looks like a date to YAML, but is not one; the same for `!!bool x`.
            reason = "YAML reads it as a date or a number, but it is not a valid one"
            line = event.start_mark.line + 1
            self.faults.append(Fault(self._here(), reason, "put it in quotes", line))
            value = text
        return _Node(value, text=text)

    def _here(self, key: str = "") -> str:
        return ".".join(part for part in (*self._path, key) if part)

    def _sequence(self) -> _Node:
        items: list[tuple[int, _Node]] = []
        while not self._loader.check_event(yaml.SequenceEndEvent):
            items.append(self._item(str(len(items))))
        self._loader.get_event()
        lines = [(line, node.lines) for line, node in items]
        return _whole([node.value for _, node in items], lines, [node for _, node in items])

    def _mapping(self) -> _Node:
        """Read a mapping; its own keys override those that it merges in by `<<`."""
        own: dict[str, tuple[int, _Node]] = {}
        merged: list[_Node] = []
        seen: dict[str, int] = {}
        while not self._loader.check_event(yaml.MappingEndEvent):
            line, key, merges = self._key()
            if key in seen:
                reason = f"duplicate key, first on line {seen[key]}"
                self.faults.append(Fault(self._here(key), reason, "keep one of them", line))
            seen.setdefault(key, line)
            event = self._loader.peek_event()
            _, node = self._item(key)
            if merges:
                merged += _mergeable(node, event)
            else:
                own[key] = (line, node)
        self._loader.get_event()
        value: dict[str, Any] = {}
        lines: dict[str, tuple[int, Any]] = {}
        for source in merged:
            value.update(source.value)
            lines.update(source.lines)  # type: ignore[arg-type]
        value.update((key, node.value) for key, (_, node) in own.items())
        lines.update((key, (line, node.lines)) for key, (line, node) in own.items())
        return _whole(value, lines, [*merged, *(node for _, node in own.values())])

    def _key(self) -> tuple[int, str, bool]:
        """Return a key's line, its text as written, and whether it merges others in."""
        event = self._loader.get_event()
        text, merges = None, False
        if isinstance(event, yaml.AliasEvent):
            text = self._aliased(event).text
        elif isinstance(event, yaml.ScalarEvent):
            text = event.value
            merges = event.tag == _MERGE or (text == "<<" and event.implicit[0])
            if event.anchor is not None:
                self._anchors[event.anchor] = self._scalar(event)
        if text is None:
            raise _Refused(event, "a key is not plain text", "write a name before the colon")
        return event.start_mark.line + 1, text, merges


def _whole(value: Any, lines: _Lines, inside: list[_Node]) -> _Node:
    size = 1 + sum(node.size for node in inside)
    height = 1 + max((node.height for node in inside), default=0)
    return _Node(value, lines, size=size, height=height)


def _mergeable(node: _Node, event: Any) -> list[_Node]:
    """Return the mappings that a `<<` brings in; of one key in several the last counts."""
    found = [node]
    if isinstance(node.lines, list):
        inside = zip(node.value, node.lines, strict=True)
        found = [_Node(value, lines) for value, (_, lines) in inside][::-1]
        found.insert(0, _Node({}, {}, size=node.size, height=node.height))
    if not all(isinstance(source.lines, dict) for source in found):
        reason = "`<<` merges something that is not a mapping"
        raise _Refused(event, reason, "write an alias of a mapping, or a list of them")
    return found


def join(path: str, key: str) -> str:
    """Return the dotted path of `key` under `path`."""
    return f"{path}.{key}" if path else key
