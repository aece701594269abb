"""Which secrets are kept beside a record, whatever its documents hold."""

import pytest

from inference_provider.workspace.kept_digests import kept_secrets


def test_values_of_placeholders_and_of_variables_are_kept_secrets():
    blueprint = b'{"environment_variables": {"A": "first", "B": "second"}}'
    assert kept_secrets(b'["third"]', blueprint) == ["third", "first", "second"]
    assert kept_secrets(None, None) == []


@pytest.mark.parametrize(
    "placeholders",
    [b"null", b"5", b'"text"', b'{"a": "b"}', b"[1, null, {}]", b"{", b"\xff", b"[" * 100_000],
)
def test_placeholders_edited_by_hand_are_no_secrets(placeholders):
    assert kept_secrets(placeholders, None) == []


@pytest.mark.parametrize(
    "blueprint",
    [
        b"null",
        b"[]",
        b"{",
        b'{"environment_variables": null}',
        b'{"environment_variables": ["a"]}',
        b'{"environment_variables": {"A": null, "B": 1}}',
    ],
)
def test_a_blueprint_edited_by_hand_has_no_secrets(blueprint):
    assert kept_secrets(b'["other"]', blueprint) == ["other"]
