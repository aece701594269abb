"""On which side of a release a requirement lies."""

import pytest

from inference_provider.spec.pins import lies_before, lies_from, name_of, takes


@pytest.mark.parametrize(
    ("requirement", "before"),
    [
        ("numpy", False),
        ("numpy==1.21", True),
        ("numpy==1.*", True),
        ("numpy==2.0", False),
        ("numpy==2.*", False),
        ("numpy~=1.26.4", True),
        ("numpy~=1.26", True),
        ("numpy~=2.0", False),
        ("numpy<2", True),
        ("numpy<=2", False),
        ("numpy<3", False),
        ("numpy>=1.20,<1.25", True),
        ("numpy>=1.20", False),
        ("numpy!=1.20", False),
        ("numpy @ https://example.org/numpy.zip", False),
        ("numpy==1.21.2 # arrays", True),
        ("numpy==1.21.2 --hash=sha256:00", True),
    ],
)
def test_a_requirement_lies_before_a_release_where_all_it_takes_is_older(requirement, before):
    assert lies_before(requirement, "2") is before


def test_a_prefix_that_may_reach_the_release_does_not_lie_before_it():
    assert not lies_before("scikit-learn==1.3.*", "1.3.1")
    assert lies_before("scikit-learn==1.3.0.*", "1.3.1")
    assert not lies_before("server~=1.2", "1.2.2")


@pytest.mark.parametrize(
    ("requirement", "after"),
    [
        ("numpy", False),
        ("numpy==2.3.1.*", True),
        ("numpy>=2", True),
        ("numpy~=2.1", True),
        ("numpy>=1.26", False),
        ("numpy<3", False),
    ],
)
def test_a_requirement_lies_from_a_release_on_where_none_it_takes_is_older(requirement, after):
    assert lies_from(requirement, "2") is after


def test_a_release_is_taken_by_what_allows_it_and_of_a_url_nobody_knows():
    assert takes("server", "1.5.1")
    assert takes("server>=1.4", "1.5.1")
    assert not takes("server==1.4.1", "1.5.1")
    assert not takes("server @ https://example.org/server.whl", "1.5.1")


def test_names_are_compared_as_on_pypi():
    assert name_of("Scikit_Learn[extra]>=1") == "scikit-learn"
