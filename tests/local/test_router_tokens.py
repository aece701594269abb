"""Tokens in a real router: who is let in, what the model sees, and rotations under load."""

import json
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from inference_provider.observed import Kind, ResourceId
from inference_provider.router.render import ECDS, LDS
from inference_provider.router.table import EndpointEntry, TokenCheck
from inference_provider.workspace.signing import SigningKeys
from inference_provider.workspace.tokens import issue, new_signing_key
from tests.local.server.model import Model, until
from tests.local.server.routing import KEY, Served, deployment, endpoint, serving

pytestmark = pytest.mark.local
CHAT = ResourceId(kind=Kind.ENDPOINT, workspace="lab", name="chat")
HALF_AN_HOUR = timedelta(minutes=30)


def check(keys: SigningKeys) -> TokenCheck:
    return TokenCheck.of(CHAT, keys.jwks)


def bearer(keys: SigningKeys, caller: str = "ann", **life: int) -> dict[str, str]:
    lifetime = timedelta(**life) if life else HALF_AN_HOUR
    text = issue(check(keys), keys, caller, datetime.now(UTC), lifetime).value
    return {"authorization": f"Bearer {text.get_secret_value()}"}


@pytest.fixture(name="keys")
def some_keys() -> SigningKeys:
    return SigningKeys(newer=new_signing_key())


def tokens(model: Model, keys: SigningKeys) -> EndpointEntry:
    blue = deployment("blue", model)
    return endpoint("chat", {"blue": 100}, blue, keys=(), auth_mode="aml_token", tokens=check(keys))


def test_the_model_sees_who_calls_and_no_token_and_the_log_has_the_caller(
    models: dict[str, Model], keys: SigningKeys
):
    with serving(tokens(models["blue"], keys)) as served:
        claimed = {"x-azml-client": "root", **bearer(keys, "ann@example.org of the night shift")}
        until(lambda: served.ask("chat/score", headers=claimed).status_code == 200)
        seen = served.ask("chat/score", headers=claimed).json()["headers"]
        assert seen["x-azml-client"] == "ann@example.org of the night shift"
        assert "authorization" not in seen
        line = served.logged()[-1]
        assert (line["identity"], line["status"]) == ("ann@example.org of the night shift", 200)
        log = served.logged_bytes().decode()
        assert claimed["authorization"].split(".")[2] not in log


@pytest.mark.parametrize(
    ("caller", "status"),
    [("ann\r\nx-evil: 1", 503), ("ann\nx-evil: 1", 503), ("ann\0", 503), ("é€", 200)],
)
def test_no_name_of_a_caller_makes_a_header_of_its_own(
    models: dict[str, Model], keys: SigningKeys, caller: str, status: int
):
    with serving(tokens(models["blue"], keys)) as served:
        until(lambda: served.ask("chat/score", headers=bearer(keys)).status_code == 200)
        found = served.ask("chat/score", headers=bearer(keys, caller))
        assert found.status_code == status
        assert "x-evil" not in found.text
        assert served.ask("chat/score", headers=bearer(keys)).status_code == 200


def test_a_refused_caller_learns_nothing_and_the_owner_reads_why(
    models: dict[str, Model], keys: SigningKeys
):
    old = issue(check(keys), keys, "ann", datetime.now(UTC) - timedelta(hours=2), HALF_AN_HOUR)
    expired = {"authorization": f"Bearer {old.value.get_secret_value()}"}
    with serving(tokens(models["blue"], keys)) as served:
        until(lambda: served.ask("chat/score", headers=bearer(keys)).status_code == 200)
        answers = [served.ask("chat/score", headers=headers) for headers in ({}, KEY, expired)]
        assert [(one.status_code, one.json()) for one in answers] == [
            (
                401,
                {
                    "error": {
                        "code": "Unauthorized",
                        "message": "the key or token is missing, wrong or expired",
                    }
                },
            )
        ] * 3
        assert {"www-authenticate", "azureml-model-deployment"} & set(answers[2].headers) == set()
        assert "Jwt_is_expired" in served.logged()[-1]["details"]


@pytest.mark.parametrize(
    "path", ["chat/score?access_token={}", "chat/score?token={}", "chat/score?authorization={}"]
)
def test_a_token_in_the_query_lets_nobody_in(
    models: dict[str, Model], keys: SigningKeys, path: str
):
    text = bearer(keys)["authorization"].removeprefix("Bearer ")
    with serving(tokens(models["blue"], keys)) as served:
        until(lambda: served.ask("chat/score", headers=bearer(keys)).status_code == 200)
        nobody = {"authorization": ""}
        assert served.ask(path.format(text), headers=nobody).status_code == 401


def test_a_scheme_in_any_case_is_taken_and_two_credentials_are_not(
    models: dict[str, Model], keys: SigningKeys
):
    good = bearer(keys)["authorization"].removeprefix("Bearer ")
    with serving(tokens(models["blue"], keys)) as served:
        until(lambda: served.ask("chat/score", headers=bearer(keys)).status_code == 200)
        for scheme, status in (("bearer", 200), ("BEARER", 200), ("Basic", 401), ("", 401)):
            headers = {"authorization": f"{scheme} {good}".strip()}
            assert (scheme, served.ask("chat/score", headers=headers).status_code) == (
                *(scheme, status),
            )
        head = "POST /endpoints/chat/score HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n"
        two = f"authorization: Bearer {good}\r\nauthorization: Bearer bad\r\nconnection: close"
        assert served.raw(f"{head}{two}\r\n\r\n").startswith("HTTP/1.1 401 ")


def test_rotations_of_the_signing_key_fail_no_request_and_close_no_connection(
    models: dict[str, Model], keys: SigningKeys
):
    blue, held = models["blue"], [keys]
    with serving(tokens(blue, keys)) as served:
        until(lambda: served.ask("chat/score", headers=bearer(keys)).status_code == 200)
        statuses: list[int] = []
        over = threading.Event()

        def call() -> None:
            while not over.is_set():
                statuses.append(served.ask("chat/score", headers=bearer(held[0])).status_code)

        callers = [threading.Thread(target=call) for _ in range(4)]
        for one in callers:
            one.start()
        for _ in range(10):
            rotated = held[0].rotated(new_signing_key())
            served.router.publish(served.table(tokens(blue, rotated)))
            held[0] = rotated
            time.sleep(0.05)
        over.set()
        for one in callers:
            one.join()
        assert (set(statuses), len(statuses) > 100) == ({200}, True)
        drains = served.router.admin.stats("^listener_manager.*draining$", "Gauges")
        assert set(drains.values()) == {0}
        assert served.ask("chat/score", headers=bearer(keys)).status_code == 401


def test_an_endpoint_goes_from_keys_to_tokens_and_back_and_is_never_open(
    models: dict[str, Model], keys: SigningKeys
):
    asked_with_keys = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    with serving(asked_with_keys) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        over, let_in = threading.Event(), []

        def knock() -> None:
            while not over.is_set():
                let_in.append(served.ask("chat/score", headers={"authorization": "Bearer x"}))

        knocks = threading.Thread(target=knock)
        knocks.start()
        for _ in range(5):
            served.router.publish(served.table(tokens(models["blue"], keys)))
            both = [served.ask("chat/score", headers=one).status_code for one in ({}, bearer(keys))]
            assert both == [401, 200]
            served.router.publish(served.table(asked_with_keys))
            both = [served.ask("chat/score", headers=one).status_code for one in ({}, bearer(keys))]
            assert both == [200, 401]
        over.set()
        knocks.join()
        assert {one.status_code for one in let_in} == {401}


def without_tokens(served: Served) -> None:
    """Make a router's files what a release wrote that knew no tokens; restart it with them."""
    lds = json.loads((served.folder / LDS).read_text())
    manager = lds["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    for filters in (manager["http_filters"], manager["upgrade_configs"][0]["filters"]):
        filters[:] = [one for one in filters if "config_discovery" not in one]
    (served.folder / LDS).write_text(json.dumps(lds))
    (served.folder / "table.json").unlink()
    shutil.rmtree((served.folder / ECDS).parent)
    served.restart()


def test_a_router_of_a_release_without_tokens_takes_them_up_and_fails_no_request(
    models: dict[str, Model], keys: SigningKeys
):
    plain = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    with serving(plain) as served:
        without_tokens(served)
        until(lambda: served.ask("chat/score").status_code == 200)
        assert served.router.is_watching()
        over, statuses = threading.Event(), []

        def call() -> None:
            while not over.is_set():
                statuses.append(served.ask("chat/score").status_code)

        caller = threading.Thread(target=call)
        caller.start()
        served.router.publish(served.table(plain))
        over.set()
        caller.join()
        assert set(statuses) == {200}
        served.router.publish(served.table(tokens(models["blue"], keys)))
        assert served.ask("chat/score", headers=bearer(keys)).status_code == 200
        assert served.router.missing() == ()
