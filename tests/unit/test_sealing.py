"""Encrypted documents, their key, and digests by it."""

import pytest

from inference_provider.sealing import (
    Unreadable,
    key_document,
    key_in,
    keyed_digest,
    sealed,
    unsealed,
)

KEY, OTHER, NONCE = b"k" * 32, b"o" * 32, b"n" * 12


def test_a_document_is_read_with_its_key_and_name_alone():
    document = sealed("a secret", "hub", KEY, NONCE).encode()
    assert b"a secret" not in document
    assert unsealed(document, "hub", KEY) == "a secret"
    for name, key, changed in (
        ("hub", OTHER, document),
        ("nub", KEY, document),
        ("hub", KEY, document.replace(b'"sealed": "', b'"sealed": "AAAA')),
        ("hub", KEY, b"{}"),
        ("hub", KEY, b"half a docu"),
    ):
        with pytest.raises(Unreadable) as refused:
            unsealed(changed, name, key)
        assert "a secret" not in str(refused.value)


def test_a_key_is_read_as_it_was_written_and_nothing_else_is_one():
    assert key_in(key_document(KEY).encode()) == KEY
    for other in (b"{}", b'{"key": "c2hvcnQ="}', b'{"key": 3}', b"[]", b""):
        with pytest.raises(Unreadable):
            key_in(other)


def test_a_digest_needs_the_key():
    assert keyed_digest("a", KEY) == keyed_digest("a", KEY)
    assert len({keyed_digest("a", KEY), keyed_digest("a", OTHER), keyed_digest("b", KEY)}) == 3
