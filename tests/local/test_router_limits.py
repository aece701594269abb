"""How many requests a running router takes of an endpoint, and what a change of that touches."""

import http.client
import threading
import time
from collections import Counter

import jwt
import pytest

from inference_provider.errors import RouterRejected
from inference_provider.router.render import LDS, LIMITS, RDS
from inference_provider.router.table import EndpointEntry, Limits, ProviderCheck, Scorers
from inference_provider.targets.envoy.files import RouterFiles
from inference_provider.workspace.signing import SigningKeys
from inference_provider.workspace.tokens import new_signing_key
from tests.local.server.load import constant_load
from tests.local.server.model import Model, until
from tests.local.server.routing import (
    KEY,
    SECONDARY,
    Served,
    code_of,
    deployment,
    endpoint,
    serving,
)

pytestmark = pytest.mark.envoy
OTHER_KEY = {"authorization": f"Bearer {SECONDARY}"}


def chat(models: dict[str, Model], name: str = "chat", **limits: int) -> EndpointEntry:
    found = Limits(**limits) if any(limits.values()) else None
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    return endpoint(name, {"blue": 100, "green": 0}, *two, limits=found)


def statuses(served: Served, count: int, path: str = "chat/score", **headers: str) -> Counter[int]:
    return Counter(served.ask(path, headers=headers).status_code for _ in range(count))


def ready(served: Served, path: str = "free/score") -> None:
    """Wait with an endpoint that has no limit, so that nothing is used up."""
    until(lambda: served.ask(path).status_code == 200)
    until(lambda: served.status().healthy.get("chat/blue") == 1)


def test_what_is_more_than_a_minute_allows_is_429_and_says_when_to_come_again(
    models: dict[str, Model],
):
    with serving(chat(models, per_minute=5), chat(models, "free")) as served:
        ready(served)
        assert statuses(served, 8) == {200: 5, 429: 3}
        refused = served.ask("chat/score")
        assert code_of(refused) == (429, "TooManyRequests")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert statuses(served, 8, "free/score") == {200: 8}


def test_each_caller_has_a_limit_of_its_own(models: dict[str, Model]):
    limited = chat(models, per_minute_per_caller=3)
    with serving(limited, chat(models, "free")) as served:
        ready(served)
        assert statuses(served, 5) == {200: 3, 429: 2}
        assert statuses(served, 5, **OTHER_KEY) == {200: 3, 429: 2}


def test_callers_whose_tokens_name_nobody_share_the_limit_of_one(models: dict[str, Model]):
    key = new_signing_key()
    private = key.private.get_secret_value()
    jwks = SigningKeys(newer=key).jwks
    given = ProviderCheck(issuer="login", audiences=("chat",), jwks=jwks)
    fields = {"auth_mode": "aad_token", "provider": given, "scorers": Scorers(groups=("team",))}
    limited = chat(models, per_minute_per_caller=3).model_copy(update=fields)

    def of(**claims: str) -> dict[str, str]:
        told = {"iss": "login", "aud": "chat", "groups": ["team"], "exp": time.time() + 600}
        token = jwt.encode({**told, **claims}, private, "ES256", {"kid": key.id})
        return {"authorization": f"Bearer {token}"}

    with serving(limited, chat(models, "free")) as served:
        ready(served)
        assert statuses(served, 2, **of()) == {200: 2}
        assert statuses(served, 3, **of(jti="another")) == {200: 1, 429: 2}
        assert statuses(served, 4, **of(sub="ann")) == {200: 3, 429: 1}


def test_the_limit_of_all_callers_holds_beside_that_of_each(models: dict[str, Model]):
    limited = chat(models, per_minute=5, per_minute_per_caller=3)
    with serving(limited, chat(models, "free")) as served:
        ready(served)
        assert statuses(served, 3) == {200: 3}
        assert statuses(served, 4, **OTHER_KEY) == {200: 2, 429: 2}


def test_who_shows_no_valid_key_uses_nothing_up_and_learns_of_no_limit(models: dict[str, Model]):
    with serving(chat(models, per_minute=4), chat(models, "free")) as served:
        ready(served)
        nobody = {"authorization": "Bearer wrong-key-of-nobody"}
        assert statuses(served, 20, **nobody) == {401: 20}
        assert statuses(served, 6) == {200: 4, 429: 2}
        found = served.ask("chat/score", headers=nobody)
        assert found.status_code == 401
        assert [name for name in found.headers if "ratelimit" in name] == []


def test_a_claimed_identity_is_no_other_caller(models: dict[str, Model]):
    with serving(chat(models, per_minute_per_caller=3), chat(models, "free")) as served:
        ready(served)
        for i in range(6):
            served.ask("chat/score", headers={"x-azml-client": f"caller-{i}"})
        assert served.ask("chat/score", headers={"x-azml-client": "x"}).status_code == 429


def test_what_was_used_up_stays_so_when_anything_else_is_changed(models: dict[str, Model]):
    limited, free = chat(models, per_minute=6), chat(models, "free")
    with serving(limited, free) as served:
        ready(served)
        assert statuses(served, 8) == {200: 6, 429: 2}
        moved = limited.model_copy(update={"weights": {"blue": 0, "green": 100}})
        fewer = moved.model_copy(update={"deployments": (moved.deployments[1],)})
        for table in ((moved, free), (fewer, free), (fewer,), (limited, free)):
            served.router.publish(served.table(*table))
            assert statuses(served, 3) == {429: 3}


def test_limits_come_change_and_go_without_a_failed_request(models: dict[str, Model]):
    with serving(chat(models)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        with constant_load(served) as found:
            for per_minute in (900_000, 800_000, 0, 700_000, 0):
                served.router.publish(served.table(chat(models, per_minute=per_minute)))
                threading.Event().wait(0.15)
        print(dict(found))
        assert set(found) == {200}


def test_the_first_limit_holds_on_connections_that_were_open_and_ends_none(
    models: dict[str, Model],
):
    free = chat(models, "free")
    with serving(chat(models), free) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)

        def asked(path: str) -> tuple[int, int]:
            connection.request("GET", f"/endpoints/{path}", headers=KEY)
            answer = connection.getresponse()
            answer.read()
            return answer.status, connection.sock.getsockname()[1]

        _, port = asked("chat/score")
        served.router.publish(served.table(chat(models, per_minute=2), free))
        found = [asked("chat/score") for _ in range(3)]
        assert found == [(200, port), (200, port), (429, port)]
        ending = "listener_manager.total_(filter_chains|listeners)_draining"
        assert not any(served.router.admin.stats(ending, "Gauges").values())
        assert asked("free/score") == (200, port)
        connection.close()


def test_a_limit_whose_removal_fails_half_way_still_holds(models: dict[str, Model]):
    limited, free = chat(models, per_minute=5), chat(models, "free")
    bad = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"], timeout_ms=-5))
    with serving(limited, free) as served:
        ready(served)
        with pytest.raises(RouterRejected):
            served.router.publish(served.table(bad, free), timeout_s=5)
        assert {*statuses(served, 8)} == {200, 429}
        assert served.router.in_force() is not None


def test_a_limit_that_is_put_back_after_its_listener_has_ended_holds(models: dict[str, Model]):
    limited, free = chat(models, per_minute=5), chat(models, "free")
    with serving(limited, free) as served:
        ready(served)
        files = RouterFiles(served.folder, served.router.admin)
        before = {name: files.read(name) for name in (LDS, LIMITS, RDS)}
        served.router.publish(served.table(chat(models), free))
        ending = "listener_manager.total_(filter_chains|listeners)_draining"
        until(lambda: not any(served.router.admin.stats(ending, "Gauges").values()), 30)
        files.put_back(before)
        assert statuses(served, 8) == {200: 5, 429: 3}


def test_a_large_limit_is_spread_evenly_and_not_cut_short(models: dict[str, Model]):
    with serving(chat(models, per_minute=2_000), chat(models, "free")) as served:
        ready(served)
        assert statuses(served, 200) == {200: 200}
