r"""Text from outside -> text that a terminal only shows. Pure.

A stack file, a record, a log or a server's answer may hold characters that move a terminal's
cursor, colour it or turn its lines round. They are written as Python would write them, `\x1b`.
"""

import re

_CONTROL = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # direction, separators of lines
    r"\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"  # what no file of UTF-8, or no XML, can hold
)
_IN_LINES = re.compile(f"[{_CONTROL}]")
_IN_A_LINE = re.compile(rf"[{_CONTROL}\t\n]")
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
_RESET = "\x1b[0m"


def printable(text: str) -> str:
    """Return text of several lines without a character that controls a terminal."""
    return _IN_LINES.sub(_escaped, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return a text as one line: what stands in it begins no line of ours."""
    return _IN_A_LINE.sub(_escaped, text)


def coloured(line: str) -> str:
    """Return a line of a log with its colours, which end with it, and nothing else of a kind."""
    pieces = _COLOUR.split(line)
    shown = "".join(piece if i % 2 else printable(piece) for i, piece in enumerate(pieces))
    return shown + (_RESET if len(pieces) > 1 else "")


def uncoloured(line: str) -> str:
    """Return a line of a log without its colours, and with nothing that controls a terminal."""
    return printable(_COLOUR.sub("", line))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    known = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
    wide = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return known.get(found.group(), wide)
