"""References to models and environments."""

import pytest

from inference_provider.spec.reference import Reference, with_short_digest

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iris:1", ("iris", "1", "")),
        ("iris@latest", ("iris", None, "")),
        ("azureml:iris@latest", ("iris", None, "")),
        (f"a.b_c:2-x@sha256:{DIGEST}", ("a.b_c", "2-x", DIGEST)),
        (f"azureml:iris:1@sha256:{DIGEST}", ("iris", "1", DIGEST)),
        ("iris", ("iris", "", "")),
        ("", ("", "", "")),
    ],
)
def test_a_reference_splits_into_name_version_and_digest(text, expected):
    assert Reference.parse(text) == expected


@pytest.mark.parametrize(
    ("reference", "written", "asset"),
    [
        (Reference("iris", "1", DIGEST), f"iris:1@sha256:{DIGEST}", "iris:1"),
        (Reference("iris", "1"), "iris:1", "iris:1"),
        (Reference("iris", None), "iris@latest", "iris@latest"),
        (Reference("iris", ""), "iris", "iris"),
    ],
)
def test_a_reference_is_written_as_it_is_read(reference, written, asset):
    assert (str(reference), reference.asset) == (written, asset)
    assert Reference.parse(written) == reference


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ("iris:1", True),
        ("azureml:iris:1", True),
        ("iris@latest", True),
        ("iris:2", False),
        ("irises@latest", False),
        ("iris", False),
    ],
)
def test_a_reference_fits_its_own_version_and_latest_fits_each(asked, fits):
    assert Reference.parse(asked).fits("iris", "1") is fits


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"iris:1@sha256:{DIGEST}", "iris:1@0123456789ab"),
        (f"registry:5000/scorer:2@sha256:{DIGEST}", "registry:5000/scorer:2@0123456789ab"),
        ("iris:1", "iris:1"),
        ("some text: a, b", "some text: a, b"),
    ],
)
def test_a_pinned_reference_is_shown_with_a_short_digest(text, shown):
    assert with_short_digest(text) == shown
