"""How often a change asks the Engine: counts, since times are those of the machine."""

import re
import time
from collections import Counter

import pytest

from tests.conformance.labs import ANN, DockerLab, together

pytestmark = pytest.mark.docker


@pytest.fixture
def lab(tmp_path):
    made = DockerLab(DockerLab.open(tmp_path), tmp_path, f"req{time.time_ns() % 10**9}")
    made.up()
    made.apply(made.deployment())
    yield made
    made.close()


@pytest.fixture
def asked(lab):
    """Count what is asked of the Engine: `PUT archive`, `POST exec`, …

    Whether records have grown is not counted: that is asked the more often the longer it takes.
    """
    found: Counter[str] = Counter()

    def note(answer, *_given, **_more):
        parts = re.findall(r"[a-z]+", answer.request.path_url.partition("?")[0])
        known = {"archive", "exec", "create", "start", "volumes"} & {*parts}
        if answer.request.method != "HEAD":
            found[f"{answer.request.method} {'+'.join(sorted(known)) or 'other'}"] += 1

    lab.platform.host.api.hooks["response"].append(note)
    return found


def test_another_deployment_costs_few_requests(lab, asked):
    lab.apply(lab.deployment("green"))
    assert asked["POST exec"] <= 1  # what asks the router runs already, unless 30 s are over
    assert asked["GET archive"] == 0  # nobody else has written records
    assert asked["PUT archive"] <= 4  # a reservation, a note, the record, the journal
    assert asked.total() <= 60


def test_deployments_at_once_share_what_they_write(lab, asked):
    wanted = [lab.deployment(name) for name in ("red", "green", "grey", "plum", "teal", "pink")]
    raised = together(*(lambda one=one: lab.target.apply(one, ANN) for one in wanted))
    assert raised == [None] * 6
    assert asked["POST exec"] <= 6
    assert asked["PUT archive"] < 6 * 4
    assert asked.total() <= 6 * 55


def test_another_instance_costs_few_requests(lab, asked):
    lab.apply(lab.deployment("green"))
    one = asked.total()
    lab.apply(lab.deployment("grey", instance_count=4))
    assert asked.total() - 2 * one <= 3 * 8
