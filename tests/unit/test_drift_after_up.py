"""After an up nothing is left to tell or to do, whatever is declared and whatever was before."""

import string
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inference_provider.observed import Actor
from inference_provider.spec import StackSpec
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.memory import MemoryTarget

ROUTE = {"path": "/", "port": 80}
PLAIN = {
    "name": "plain",
    "command": ["python", "-m", "http.server"],
    "inference_config": dict.fromkeys(
        ("liveness_route", "readiness_route", "scoring_route"), ROUTE
    ),
    "content_hash": "b" * 64,
}
NAMES, COLOURS = ("iris", "rose", "tulip"), ("blue", "green", "red")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
WORDS = st.text(string.ascii_letters, min_size=1, max_size=6)
TAGS = st.dictionaries(WORDS, TEXTS, max_size=2)


def some(**fields: st.SearchStrategy) -> st.SearchStrategy[dict[str, Any]]:
    """Return a mapping in which any of the fields may be left out."""
    return st.fixed_dictionaries({}, optional=fields)


ENDPOINT = some(description=TEXTS, tags=TAGS, auth_mode=st.sampled_from(["key", "aml_token"]))
DEPLOYMENT = some(
    description=TEXTS,
    tags=TAGS,
    instance_count=st.integers(1, 3),
    environment_variables=st.dictionaries(WORDS, TEXTS, max_size=2),
    request_settings=some(
        request_timeout_ms=st.integers(1000, 9000),
        max_concurrent_requests_per_instance=st.integers(1, 9),
    ),
    readiness_probe=some(period=st.integers(1, 20), failure_threshold=st.integers(1, 9)),
)
WORKSPACE = some(description=TEXTS, tags=TAGS)


@st.composite
def stacks(draw) -> Stack:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    behind = {
        name: draw(st.lists(st.sampled_from(COLOURS), unique=True, min_size=1)) for name in names
    }
    connections = draw(st.lists(st.sampled_from(["hub", "store"]), unique=True))
    return Stack.of(
        StackSpec.model_validate(
            {
                "name": "demo",
                "workspaces": [{"name": "default", "target": "memory", **draw(WORKSPACE)}],
                "environments": [PLAIN],
                "endpoints": [{"name": name, **draw(ENDPOINT)} for name in names],
                "deployments": [
                    {"endpoint": name, "name": one, "environment": "plain:1", **draw(DEPLOYMENT)}
                    for name in names
                    for one in behind[name]
                ],
                "traffic": [
                    {"endpoint": name, **_split(draw, behind[name])}
                    for name in names
                    if draw(st.booleans())
                ],
                "connections": [
                    {"name": name, "credentials": {"key": draw(WORDS)}} for name in connections
                ],
                "identities": [{"name": "robot", "tags": draw(TAGS)}],
            }
        )
    )


def _split(draw, deployments: list[str]) -> dict[str, Any]:
    """Return a split between the first two, and perhaps a mirror to another one."""
    first, *others = deployments
    share = draw(st.integers(0, 100)) if others else 100
    traffic = {first: share, others[0]: 100 - share} if others else {first: share}
    mirror = {others[1]: draw(st.integers(0, 50))} if len(others) > 1 else {}
    return {"traffic": traffic, "mirror_traffic": mirror}


@settings(max_examples=50, deadline=None, derandomize=True)
@given(before=stacks(), after=stacks())
def test_nothing_is_drift_or_planned_after_an_up_and_after_another(before, after):
    pipeline = Pipeline(MemoryTarget(), Actor(user="ann"))
    for stack in (before, after):
        pipeline.apply(pipeline.plan(stack))
        report = pipeline.drift(stack)
        assert {one.verdict.value for one in report.resources} == {"clean"}
        assert pipeline.plan(stack).plan.pending == ()
