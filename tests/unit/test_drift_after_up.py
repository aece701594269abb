"""After an up nothing is left to tell or to do, whatever is declared and whatever was before."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from inference_provider.observed import Actor
from inference_provider.spec import StackSpec
from inference_provider.stack import Pipeline, Stack
from inference_provider.targets.memory import MemoryTarget

ROUTES = ("liveness_route", "readiness_route", "scoring_route")
PLAIN = {
    "name": "plain",
    "command": ["python", "-m", "http.server"],
    "inference_config": {name: {"path": "/", "port": 80} for name in ROUTES},
    "content_hash": "b" * 64,
}
NAMES, COLOURS = ("iris", "rose", "tulip"), ("blue", "green", "red")
TEXTS = ("", "a text", "grün & <b>", "0", "null", "1.0", "- {x: 1}", "'\"")
WORDS = ("team", "LEVEL", "x", "Y9")


class Draws:
    """Chooses what a stack declares; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def some(self, names: tuple[str, ...], least: int = 0) -> list[str]:
        return self._random.sample(names, self._random.randint(least, len(names)))

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def text(self) -> str:
        return self._random.choice(TEXTS)

    def texts(self) -> dict[str, str]:
        return {word: self.text() for word in self.some(WORDS)[:2]}

    def any_of(self, **fields: Callable[[], Any]) -> dict[str, Any]:
        """Return a mapping in which any of the fields may be left out."""
        return {name: draw() for name, draw in fields.items() if self.number(0, 1)}

    def stack(self) -> Stack:
        behind = {name: self.some(COLOURS, 1) for name in self.some(NAMES)}
        return Stack.of(
            StackSpec.model_validate(
                {
                    "name": "demo",
                    "workspaces": [{"name": "default", "target": "memory", **self._labels()}],
                    "environments": [PLAIN],
                    "endpoints": [{"name": name, **self._endpoint()} for name in behind],
                    "deployments": [
                        {"endpoint": of, "name": one, "environment": "plain:1", **self._settings()}
                        for of, names in behind.items()
                        for one in names
                    ],
                    "traffic": [
                        {"endpoint": of, **self._split(names)}
                        for of, names in behind.items()
                        if self.number(0, 2)
                    ],
                    "connections": [
                        {"name": name, "credentials": {"key": f"k{self.number(0, 1)}"}}
                        for name in self.some(("hub", "store"))
                    ],
                    "identities": [
                        {"name": name, **self._labels()} for name in self.some(("ann",))
                    ],
                }
            )
        )

    def _labels(self) -> dict[str, Any]:
        return self.any_of(description=self.text, tags=self.texts)

    def _endpoint(self) -> dict[str, Any]:
        modes = ("key", "aml_token")
        return self._labels() | self.any_of(auth_mode=lambda: modes[self.number(0, 1)])

    def _settings(self) -> dict[str, Any]:
        return self._labels() | self.any_of(
            instance_count=lambda: self.number(1, 3),
            environment_variables=self.texts,
            request_settings=lambda: self.any_of(
                request_timeout_ms=lambda: self.number(1000, 9000),
                max_concurrent_requests_per_instance=lambda: self.number(1, 9),
            ),
            readiness_probe=lambda: self.any_of(
                period=lambda: self.number(1, 20), failure_threshold=lambda: self.number(1, 9)
            ),
        )

    def _split(self, deployments: list[str]) -> dict[str, Any]:
        """Return a split between the first two, and a mirror to the third."""
        first, *others = deployments
        share = self.number(0, 100) if others else 100
        traffic = {first: share, **{name: 100 - share for name in others[:1]}}
        return {
            "traffic": traffic,
            "mirror_traffic": {name: self.number(0, 50) for name in others[1:]},
        }


@pytest.mark.parametrize("seed", range(50))
def test_nothing_is_drift_or_planned_after_an_up_and_after_another(seed):
    pipeline, draws = Pipeline(MemoryTarget(), Actor(user="ann")), Draws(seed)
    for stack in (draws.stack(), draws.stack()):
        pipeline.apply(pipeline.plan(stack))
        report = pipeline.drift(stack)
        assert {one.verdict.value for one in report.resources} == {"clean"}
        assert pipeline.plan(stack).plan.pending == ()
