"""What a caller sent -> values as the model's signature says. Pure: neither MLflow nor numpy.

Goes in: the body of a request and a schema of MLflow's. Comes out: a table, whose columns have the
types of the signature, or tensors. What cannot be one is told in a sentence that names the column.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

SHOWN = 20
"""Most names that a sentence lists."""
SHOWN_CHARACTERS = 60
_SPLIT = frozenset({"columns", "index", "data"})
"""Keys of a table as pandas writes it with `orient="split"`."""
_BEYOND = {"integer": 2**31, "long": 2**63}
"""Types of whole numbers, each with the first number beyond it."""


class BadRequest(Exception):
    """What a caller sent cannot be scored; its text is for the caller."""


class Column(NamedTuple):
    """A column, or a tensor, that a model asks for."""

    name: str | None
    type: str
    """Of a column a type of MLflow's, of a tensor a dtype of numpy's."""
    required: bool = True
    shape: tuple[int, ...] | None = None
    """Of a tensor, -1 where any length will do; None for a column."""


class Signature(NamedTuple):
    """What a model asks for."""

    columns: tuple[Column, ...]

    @property
    def of_tensors(self) -> bool:
        return self.columns[0].shape is not None

    @property
    def names(self) -> list[str]:
        """Names of the columns; empty where they have none."""
        return [one.name for one in self.columns if one.name is not None]


class Table(NamedTuple):
    """Rows of values."""

    names: list[str] | None
    """None where the caller named none."""
    rows: list[list[Any]]
    labels: list[Any] | None = None
    """The index of pandas; None for one of numbers."""


def asked_of(body: bytes) -> tuple[Any, dict[str, Any] | None]:
    """Return `input_data` and `params` of a request's body; a bare list is `input_data`.

    Raises:
        BadRequest: It has none.
    """
    if not body.strip():
        raise BadRequest('the body is empty; send {"input_data": ...} as JSON')
    try:
        said = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8 text") from None
    except ValueError as exc:
        raise BadRequest(f"the body is not JSON: {exc}") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    if isinstance(said, list):
        return said, None
    if not isinstance(said, dict) or "input_data" not in said:
        raise BadRequest('"input_data" is missing; send {"input_data": ...}')
    params = said.get("params")
    if params is not None and not isinstance(params, dict):
        raise BadRequest('"params" must be an object: send {"name": value}')
    return said["input_data"], params


def signature_of(schema: Any) -> Signature | None:
    """Return what a schema says, of any version of MLflow; None where there is none."""
    columns = tuple(_column_of(one) for one in getattr(schema, "inputs", None) or ())
    return Signature(columns) if columns else None


def _column_of(spec: Any) -> Column:
    shape = getattr(spec, "shape", None)
    kind = spec.type if shape is not None else getattr(spec.type, "name", spec.type)
    required = getattr(spec, "required", not getattr(spec, "optional", False))
    return Column(spec.name, str(kind), required, None if shape is None else tuple(shape))


def table_of(asked: Any) -> Table | None:
    """Return `input_data` as a table: split, or a list of records or of rows; None if it is none.

    Raises:
        BadRequest: It is a table that does not fit together.
    """
    if isinstance(asked, dict):
        return _split(asked) if "data" in asked and _SPLIT.issuperset(asked) else None
    if not isinstance(asked, list) or not asked:
        return None
    if all(isinstance(row, dict) for row in asked):
        names = list(dict.fromkeys(str(name) for row in asked for name in row))
        return Table(names, [[row.get(name) for name in names] for row in asked])
    return Table(None, asked) if all(isinstance(row, list) for row in asked) else None


def _split(asked: dict[str, Any]) -> Table:
    rows, names, index = asked["data"], asked.get("columns"), asked.get("index")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise BadRequest('"data" is not a list of rows, each a list of values')
    if names is not None and not isinstance(names, list):
        raise BadRequest('"columns" is not a list of names')
    if index is not None and (not isinstance(index, list) or len(index) != len(rows)):
        raise BadRequest(f'"index" must be a list of {len(rows)} entries, one for each row')
    if names is None:
        return Table(None, rows, index)
    _refuse_other_widths(rows, len(names))
    return Table([str(name) for name in names], rows, index)


def _refuse_other_widths(rows: list[list[Any]], width: int) -> None:
    for number, row in enumerate(rows):
        if len(row) != width:
            raise BadRequest(f"row {number} has {len(row)} values instead of {width}")


def cast(table: Table, signature: Signature) -> list[tuple[Column, list[Any]]]:
    """Return the columns that the signature asks for and that are there, with their values.

    What is there beside them is left out, and so is an optional column without a value.

    Raises:
        BadRequest: One is missing, or has a value that cannot be of its type.
    """
    wanted, given = signature.columns, table.names
    if given is None or not signature.names:
        _refuse_other_widths(table.rows, len(wanted))
        places: dict[int, int] = {i: i for i in range(len(wanted))}
    else:
        known = {name: place for place, name in enumerate(given)}
        refuse_missing("column", known, signature)
        places = {i: known[c.name] for i, c in enumerate(wanted) if c.name in known}
    found = []
    for i, place in places.items():
        values = [row[place] for row in table.rows]
        if wanted[i].required or any(value is not None for value in values):
            found.append((wanted[i], _cast(wanted[i], i, values)))
    return found


def refuse_missing(what: str, given: Any, signature: Signature) -> None:
    """Refuse what lacks something that the signature requires.

    Args:
        what: What one is called: `column`, `tensor`.
        given: The names that are there.
        signature: What the model asks for.
    """
    missing = [one.name for one in signature.columns if one.required and one.name not in given]
    if missing:
        noun = f"{what} {missing[0]!r} is"
        noun = noun if len(missing) == 1 else f"{what}s {_listed(missing)} are"
        raise BadRequest(f"{noun} missing; the model asks for {_listed(signature.names)}")


def _listed(names: list[Any]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more


def _cast(column: Column, place: int, values: list[Any]) -> list[Any]:
    convert = _CONVERTERS.get(column.type)
    if convert is None:  # a list, an object: MLflow checks it itself
        return values
    found = []
    for number, value in enumerate(values):
        try:
            found.append(convert(value, column.type))
        except (TypeError, ValueError, OverflowError):
            raise misfit(column, place, number, value) from None
    return found


def misfit(column: Column, place: int, row: int, value: Any) -> BadRequest:
    """Return what is told of a value that cannot be of its column's type."""
    name = repr(column.name) if column.name is not None else str(place)
    shown = json.dumps(value)
    if len(shown) > SHOWN_CHARACTERS:
        shown = shown[:SHOWN_CHARACTERS] + "..."
    return BadRequest(f"column {name}, row {row}: {shown} is not of type {column.type}")


def _boolean(value: Any, _type: str) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value in (0, 1):
        return bool(value)
    raise ValueError


def _whole(value: Any, type_: str) -> int:
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError
    if not -_BEYOND[type_] <= number < _BEYOND[type_]:
        raise OverflowError
    return number


def _real(value: Any, _type: str) -> float:
    return math.nan if value is None else float(value)


def _text(value: Any, _type: str) -> str | None:
    if isinstance(value, (list, dict)):
        raise TypeError
    return None if value is None else str(value)


def _bytes(value: Any, _type: str) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError
    return base64.b64decode(value.encode("ascii"), validate=True)


def _moment(value: Any, _type: str) -> str | None:
    if value is None or isinstance(value, str):
        return value  # pandas reads it
    raise TypeError


_CONVERTERS: dict[str, Callable[[Any, str], Any]] = {
    "boolean": _boolean,
    "integer": _whole,
    "long": _whole,
    "float": _real,
    "double": _real,
    "string": _text,
    "binary": _bytes,
    "datetime": _moment,
}
"""By the type of a column. `true` is the number 1, and `"5"` the number 5, as for Azure ML."""
SIMPLE = frozenset(_CONVERTERS)
"""Types of a column whose values are one value each."""
