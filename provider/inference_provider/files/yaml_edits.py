"""YAML text + values that items should have -> the text with exactly these values changed.

All else stays as it is written, comments too. What cannot be changed without changing something
else is a `CannotEdit`: a value that an anchor or a placeholder gives.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

REMOVED = object()
"""Stands for the value of a key that is removed."""
_MERGE = "tag:yaml.org,2002:merge"


class CannotEdit(Exception):
    """A value cannot be changed where it is written. Says why."""


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class _Pair(NamedTuple):
    key: Any
    value: Any

    @property
    def is_alias(self) -> bool:
        """Whether the value stands elsewhere, and an alias of it here."""
        return bool(self.value.start_mark.index < self.key.end_mark.index)


def edited(text: str, changes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a document in which some items have other values.

    Args:
        text: One YAML document, a mapping of lists.
        changes: By item, `deployments.2`: values by key, those of a mapping inside it as a mapping,
            `REMOVED` for a key that goes.

    Raises:
        CannotEdit: One of them cannot be changed where it is written.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    editor = _Editor(text)
    edits = [
        edit for item, wanted in changes.items() for edit in editor.of(_item(root, item), wanted)
    ]
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _item(root: Any, path: str) -> Any:
    listing, _, i = path.partition(".")
    for key, value in root.value:
        if key.value == listing and isinstance(value, yaml.SequenceNode):
            item = value.value[int(i)]
            if isinstance(item, yaml.MappingNode) and item.start_mark.index > key.end_mark.index:
                return item
    raise CannotEdit("it is written by an alias")


class _Editor:
    """Finds the edits of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def of(self, node: Any, wanted: Mapping[str, Any]) -> Iterator[_Edit]:
        """Yield the edits that give a mapping some values."""
        pairs = [_Pair(key, value) for key, value in node.value]
        own = {pair.key.value: pair for pair in pairs if pair.key.tag != _MERGE}
        merges = len(own) < len(pairs)
        added = {}
        for name, value in wanted.items():
            if name in own:
                yield from self._changed(node, own, name, value)
            elif value is REMOVED:
                raise CannotEdit("it is not written there")
            elif merges and isinstance(value, Mapping):
                raise CannotEdit("an anchor may give it")
            else:
                added[name] = value
        if added:
            yield self._added(node, list(own.values()), added)

    def _changed(
        self, node: Any, own: Mapping[str, _Pair], name: str, value: Any
    ) -> Iterator[_Edit]:
        pair = own[name]
        if pair.is_alias or self._text[pair.value.start_mark.index :][:1] in ("&", "!"):
            raise CannotEdit("an anchor gives it")
        if value is REMOVED:
            yield self._removed(node, list(own.values()), pair)
        elif isinstance(value, Mapping) and isinstance(pair.value, yaml.MappingNode):
            if pair.value.flow_style and REMOVED in value.values():
                yield self._written(pair, _merged(pair.value, value))
            else:
                yield from self.of(pair.value, value)
        else:
            yield self._written(pair, value)

    def _written(self, pair: _Pair, value: Any) -> _Edit:
        """Return the edit that writes all of a value again."""
        end = self._end(pair)
        was = self._text[pair.value.start_mark.index : end]
        if "${" in was:
            raise CannotEdit("a placeholder gives it")
        if isinstance(pair.value, yaml.CollectionNode) and any(sign in was for sign in "&*#"):
            raise CannotEdit("it has anchors or comments inside")
        return _Edit(pair.key.end_mark.index, end, f": {_flow(value)}")

    def _added(self, node: Any, own: list[_Pair], added: Mapping[str, Any]) -> _Edit:
        lines = [f"{_flow(name)}: {_flow(value)}" for name, value in added.items()]
        exact = [pair for pair in own if self._is_exact(pair)]
        if node.flow_style:
            if not node.value:
                at = node.start_mark.index + 1
                return _Edit(at, at, ", ".join(lines))
            if not exact or exact[-1] is not own[-1]:
                at = node.value[0][0].start_mark.index
                return _Edit(at, at, "".join(f"{line}, " for line in lines))
            at = self._end(exact[-1])
            return _Edit(at, at, "".join(f", {line}" for line in lines))
        indent = self._newline + " " * node.value[0][0].start_mark.column
        if exact:
            at = self._line_end(self._end(exact[-1]))
            return _Edit(at, at, "".join(indent + line for line in lines))
        at = node.value[0][0].start_mark.index
        return _Edit(at, at, "".join(line + indent for line in lines))

    def _removed(self, node: Any, own: list[_Pair], pair: _Pair) -> _Edit:
        if len(node.value) == 1:
            raise CannotEdit("it is all that is written there")
        i = next(i for i, (key, _) in enumerate(node.value) if key is pair.key)
        start = pair.key.start_mark.index
        if node.flow_style and i > 0:
            before = _Pair(*node.value[i - 1])
            if before.is_alias:
                raise CannotEdit("it stands behind an alias")
            return _Edit(self._end(before), self._end(pair), "")
        if node.flow_style or i == 0:  # the first may stand behind the dash of a list
            return _Edit(start, node.value[i + 1][0].start_mark.index, "")
        begin = self._text.rfind("\n", 0, start)
        return _Edit(begin, self._line_end(self._end(pair), keep_newline=False), "")

    def _is_exact(self, pair: _Pair) -> bool:
        """Whether the end of a value is known, and its line ends with it."""
        scalar = isinstance(pair.value, yaml.ScalarNode) and pair.value.style not in ("|", ">")
        return not pair.is_alias and (scalar or bool(getattr(pair.value, "flow_style", False)))

    def _end(self, pair: _Pair) -> int:
        """Return where a value ends, without the blanks and comments behind it."""
        node = pair.value
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            node = last[1] if isinstance(node, yaml.MappingNode) else last
            if node.start_mark.index < pair.value.start_mark.index:
                raise CannotEdit("an anchor gives a part of it")
        start, end = node.start_mark.index, node.end_mark.index
        return int(start + len(self._text[start:end].rstrip()))

    def _line_end(self, at: int, *, keep_newline: bool = True) -> int:
        """Return the end of a line, behind a comment on it."""
        end = self._text.find("\n", at)
        end = len(self._text) if end < 0 else end
        return end - 1 if keep_newline and self._text[end - 1 : end] == "\r" else end


def _merged(node: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a mapping has, with other values."""
    read = yaml.constructor.SafeConstructor()
    was = {key.value: read.construct_object(value, deep=True) for key, value in node.value}
    return {name: value for name, value in {**was, **wanted}.items() if value is not REMOVED}


class _Dumper(yaml.SafeDumper):
    """Writes each value on one line."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _flow(value: Any) -> str:
    """Write a value as it may stand in a flow collection; `${` of a text stays a text."""
    listed = yaml.dump(
        [_escaped(value)],
        Dumper=_Dumper,
        default_flow_style=True,
        width=float("inf"),
        allow_unicode=True,
        sort_keys=False,
    )
    return str(listed).strip()[1:-1]


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${").replace("$${{", "${{")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list | tuple) else value
