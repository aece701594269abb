"""A result -> the text that `az` prints of it: `--query`, then one of its formats. Pure.

Sources: JMESPath, and `knack.output` of the Azure CLI, whose json has sorted keys and whose tsv has
no quotes, `None` for null, and the length of a list that stands inside a row.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from inference_provider.cli import strict_json
from inference_provider.errors import Fault, SpecError
from inference_provider.printable import printable

Format = Literal["json", "tsv", "table", "yaml", "none"]
_PADDING = 2
"""Of a title; as tabulate writes it, which the Azure CLI prints tables with."""
FORMATS: tuple[Format, ...] = get_args(Format)


def queried(value: Any, query: str | None) -> Any:
    """Return what a JMESPath query finds; the value itself without one.

    Raises:
        SpecError: It is no such query, or cannot be asked of this value.
    """
    if query is None:
        return value
    import jmespath  # noqa: PLC0415 - few commands ask

    try:
        # a query's own mappings keep its order in a tsv, as scripts read them
        return jmespath.search(query, value, jmespath.Options(dict_cls=OrderedDict))
    except (jmespath.exceptions.JMESPathError, ValueError) as exc:
        reason = f"'{query}' cannot be asked: {' '.join(str(exc).split())}"
        fault = Fault("--query", reason, "see https://jmespath.org")
        raise SpecError((fault,), "the command line") from None


def formatted(value: Any, form: Format) -> str:
    """Return the text with its last newline; empty for null, and for `none`."""
    if value is None or form == "none":
        return ""
    if form == "tsv":
        rows = value if isinstance(value, list) else [value]
        return "".join(f"{_row(row)}\n" for row in rows)
    if form == "table":
        return _table(value)
    plain = json.loads(strict_json.write(value))
    if form == "yaml":
        import yaml  # noqa: PLC0415 - few scripts ask for it

        text: str = yaml.safe_dump(plain, sort_keys=True, allow_unicode=True)
        return text.removesuffix("...\n")
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def to_show(text: str, *, on_terminal: bool) -> str:
    """Return a text as it is to a script, and to a terminal without what would control it."""
    return printable(text) if on_terminal else text


def _row(row: Any) -> str:
    if isinstance(row, Mapping):
        pairs = row.items() if isinstance(row, OrderedDict) else sorted(row.items())
        return "\t".join(_cell(value) for _, value in pairs)
    if isinstance(row, list | tuple):
        return "\t".join(map(_cell, row))
    return str(row).lower() if isinstance(row, bool) else _cell(row)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return str(len(value))
    return "" if isinstance(value, Mapping) else str(value)


def _table(value: Any) -> str:
    rows = [_told(row) for row in (value if isinstance(value, list) else [value])]
    titles = list(dict.fromkeys(title for row in rows for title in row))
    if not titles:
        return ""
    lines = [titles, *([row.get(title, "") for title in titles] for row in rows)]
    widths = [
        max(len(title) + _PADDING, *(len(line[i]) for line in lines))
        for i, title in enumerate(titles)
    ]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"{_line(line, widths)}\n" for line in lines)


def _told(row: Any) -> dict[str, str]:
    """Return the columns of a row: what is plain in it, by its name with a capital."""
    if isinstance(row, Mapping):
        found = {key: one for key, one in row.items() if not isinstance(one, Mapping | list)}
        return {
            f"{key[:1].upper()}{key[1:]}": "" if one is None else str(one)
            for key, one in found.items()
            if key != "id"
        }
    if isinstance(row, list | tuple):
        return {f"Column{i + 1}": _cell(one) for i, one in enumerate(row)}
    return {"Result": _cell(row)}


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
