"""What clients ask the first process of a router: one request in JSON, one answer in JSON.

An error of ours goes back as itself (`agent_errors.py`).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from inference_provider.errors import InferenceError, TargetError
from inference_provider.router.table import Backend
from inference_provider.targets.envoy.agent_errors import written
from inference_provider.targets.envoy.log_bound import parts
from inference_provider.targets.envoy.refused import ACCESS_LOG
from inference_provider.targets.envoy.serving import Serving
from inference_provider.targets.log_tail import Position, new_lines
from inference_provider.targets.log_tail import written as told
from inference_provider.workspace.logged import CallQuery

Request = Mapping[str, Any]
Answers = Mapping[str, Callable[[Request], Any]]
"""By question: what returns its answer, as JSON may have it."""


def answer(answers: Answers, text: bytes) -> bytes:
    """Answer one request.

    Args:
        answers: The questions that may be asked.
        text: `{"ask": "<question>", …}`.

    Raises:
        ValueError, TypeError: The text is not a request.
    """
    asked = json.loads(text)
    try:
        found: dict[str, Any] = {"answer": answers[asked["ask"]](asked)}
    except InferenceError as fault:
        found = {"error": written(fault)}
    except (KeyError, ValidationError):  # a question or a table that this release does not know
        found = {"error": written(_of_another_release())}
    return json.dumps(found).encode()


def _of_another_release() -> TargetError:
    reason = "its image is of another release, which does not know what is asked"
    remedy = "apply the workspace; where it names a runtime_image, name one of this release"
    return TargetError("ask", "the router", reason, remedy)


def about(serving: Serving) -> Answers:
    """Return the answers about what a router serves; none of them changes anything."""

    def wait_healthy(asked: Request) -> None:
        one = asked.get("deployment")
        serving.wait_healthy({one: asked["count"]} if one else asked["deployments"])

    def histograms(asked: Request) -> list[dict[str, Any]]:
        found = serving.delivery.admin.histograms(asked["pattern"])
        # what is read of them, half of what Envoy says
        return [{name: one[name] for name in ("name", "totals")} for one in found]

    return {
        "in_force": lambda _asked: serving.in_force(),
        "is_drained": lambda asked: serving.is_drained(asked["deployment"]),
        "is_connected": lambda asked: serving.is_connected(backends(asked)),
        "wait_healthy": wait_healthy,
        "statistics": lambda asked: serving.delivery.admin.stats(asked["pattern"]),
        "histograms": histograms,
        "counted": lambda asked: serving.delivery.admin.counted(asked["pattern"]),
        "calls": lambda asked: serving.calls(CallQuery.model_validate(asked["query"])),
        "new_calls": lambda asked: _new_calls(serving, asked),
        "status": lambda _asked: serving.status().model_dump(mode="json"),
    }


def _new_calls(serving: Serving, asked: Request) -> object:
    """Return the lines of the access log after a position; see `new_lines`."""
    known = asked["known"] and Position.model_validate(asked["known"])
    logs = parts(serving.delivery.folder / ACCESS_LOG)
    return told(new_lines(logs, known, int(asked["bytes"]), int(asked["lines"])))


def backends(asked: Request) -> list[Backend]:
    """Return the backends that a request names."""
    return [Backend.model_validate(found) for found in asked["backends"]]
