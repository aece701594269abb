"""A name server that says what a test wants."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping

_FAMILIES = {1: socket.AF_INET, 28: socket.AF_INET6}
"""By the kind of question."""


@contextlib.contextmanager
def name_server(names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Answer with the addresses of each name; yields address and port.

    Args:
        names: Read for each question, so a test may change it. Others are not there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))

        def answer() -> None:
            while True:
                question, asker = bound.recvfrom(512)
                if not question:
                    return
                bound.sendto(_answer(question, names), asker)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{bound.getsockname()[1]}"
        bound.sendto(b"", bound.getsockname())
        thread.join(10)


@contextlib.contextmanager
def silent_name_server() -> Iterator[str]:
    """Answer nothing; yields address and port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def _answer(question: bytes, names: Mapping[str, tuple[str, ...]]) -> bytes:
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode().lower())
        at += length + 1
    asked = struct.unpack(">H", question[at + 1 : at + 3])[0]
    found = names.get(".".join(labels))
    addresses = [one for one in map(_packed, found or ()) if one[0] == _FAMILIES.get(asked)]
    flags = 0x8183 if found is None else 0x8180
    head = question[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
    records = (
        b"\xc0\x0c" + struct.pack(">HHIH", asked, 1, 1, len(packed)) + packed
        for _, packed in addresses
    )
    return head + question[12 : at + 5] + b"".join(records)


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)
