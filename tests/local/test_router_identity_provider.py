"""Tokens of a real identity provider in a real router: who may score, and fetched keys."""

import re
from collections.abc import Iterator

import pytest

from inference_provider.router.table import EndpointEntry, ProviderCheck, Scorers
from tests.local.server.model import Model, until
from tests.local.server.routing import Served, deployment, endpoint, serving
from tests.oidc_server import Provider, provider
from tests.ports import own_port

pytestmark = pytest.mark.local
ANN = Scorers(principals=("ann",))


@pytest.fixture(name="login")
def a_provider() -> Iterator[Provider]:
    with provider(own_port()) as found:
        yield found


def check(login: Provider, **values: object) -> ProviderCheck:
    fetched = {"jwks_uri": login.jwks_uri, "refresh_s": 1}
    fields = {"issuer": login.issuer, "audiences": ("chat",), **fetched, **values}
    return ProviderCheck.model_validate(fields)


def provided(
    models: dict[str, Model], one: ProviderCheck, scorers: Scorers = ANN, **values: object
) -> EndpointEntry:
    blue, green = deployment("blue", models["blue"]), deployment("green", models["green"])
    fields = {"keys": (), "auth_mode": "aad_token", "provider": one, "scorers": scorers, **values}
    return endpoint("chat", {"blue": 50, "green": 50}, blue, green, **fields)


def ask(served: Served, token: str, pin: str = "", path: str = "chat/score") -> int:
    headers = {"authorization": f"Bearer {token}"}
    return served.ask(path, pin, headers=headers).status_code


def test_a_caller_with_the_role_is_let_in_by_name_or_group_and_nobody_else(
    models: dict[str, Model], login: Provider
):
    scorers = Scorers(principals=("ann",), groups=("scorers",))
    with serving(provided(models, check(login), scorers)) as served:
        until(lambda: ask(served, login.token("ann")) == 200)
        told = {
            "of a group": login.token("bob", groups=["readers", "scorers"]),
            "of one group": login.token("bob", groups="scorers"),
            "of another": login.token("bob", groups=["scorers-too"]),
            "of none": login.token("eve"),
            "as a group": login.token("scorers"),
            "as its member": login.token("eve", groups=["ann"]),
            "of case": login.token("Ann"),
        }
        assert {who: ask(served, token) for who, token in told.items()} == {
            **{"of a group": 200, "of one group": 200, "of another": 403, "of none": 403},
            **{"as a group": 403, "as its member": 403, "of case": 403},
        }
        assert ask(served, login.token("ann", audience="rose")) == 403
        assert ask(served, "of-nobody") == 401


def test_the_model_sees_who_calls_and_no_token(models: dict[str, Model], login: Provider):
    named = check(login, principal_claim="oid")
    with serving(provided(models, named)) as served:
        token = login.token("a-number", oid="ann")
        until(lambda: ask(served, token) == 200)
        headers = {"authorization": f"Bearer {token}", "x-azml-client": "root"}
        seen = served.ask("chat/score", headers=headers).json()["headers"]
        assert seen["x-azml-client"] == "ann"
        assert "authorization" not in seen
        assert served.logged()[-1]["identity"] == "ann"


def test_who_may_score_one_deployment_must_name_it_and_learns_of_no_other(
    models: dict[str, Model], login: Provider
):
    entry = provided(models, check(login), deployment_scorers={"blue": Scorers(groups=("b",))})
    with serving(entry) as served:
        ann, bob = login.token("ann"), login.token("bob", groups=["b"])
        until(lambda: ask(served, ann) == 200)
        pins = ("", "blue", "green", "red")
        assert [ask(served, ann, pin) for pin in pins] == [200, 200, 200, 404]
        assert [ask(served, bob, pin) for pin in pins] == [403, 200, 403, 403]
        refused = [
            served.ask("chat/score", pin, headers={"authorization": f"Bearer {bob}"})
            for pin in ("", "green", "red")
        ]
        assert len({one.text for one in refused}) == 1
        assert not any("azureml-model-deployment" in one.headers for one in refused)


def test_a_new_key_of_the_provider_is_fetched_and_an_old_one_forgotten(
    models: dict[str, Model], login: Provider
):
    with serving(provided(models, check(login))) as served:
        before = login.token("ann")
        until(lambda: ask(served, before) == 200)
        login.rotate()
        after = login.token("ann")
        until(lambda: ask(served, after) == 200)
        until(lambda: ask(served, before) == 401)


def refused_by(login: Provider, served: Served) -> str:
    """Return what a status says while the provider does not run; the time is cut out."""
    gone = f"keys cannot be fetched from {login.jwks_uri}: Connection refused; "
    until(lambda: served.router.fetch_fault().startswith(gone))
    said = served.router.fetch_fault().removeprefix(gone)
    return re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", "TIME", said)


def test_keys_stay_in_force_while_they_cannot_be_fetched(models: dict[str, Model], login: Provider):
    entry = provided(models, check(login))
    with serving(entry) as served:
        token = login.token("ann")
        until(lambda: ask(served, token) == 200)
        login.stop()
        assert refused_by(login, served) == "those of TIME stay in force"
        rose = endpoint("rose", {}, deployment("blue", models["blue"]))
        served.router.publish(served.table(entry, rose))
        assert ask(served, token) == 200


def test_keys_of_a_provider_that_comes_to_a_running_router_stay_in_force_too(
    models: dict[str, Model], login: Provider
):
    with serving() as served:
        served.router.publish(served.table(provided(models, check(login))))
        token = login.token("ann")
        until(lambda: ask(served, token) == 200)
        login.stop()
        served.end_keys()
        failed = "http.ingress.jwt_authn.jwks_fetch_failed"
        until(lambda: int(served.router.admin.stats(f"^{failed}$", "Counters").get(failed, 0)) > 2)
        assert ask(served, token) == 200


@pytest.mark.parametrize("refresh_s", [1, 86400])
def test_keys_fetched_last_are_in_force_after_a_restart_until_there_are_new_ones(
    models: dict[str, Model], login: Provider, refresh_s: int
):
    with serving(provided(models, check(login, refresh_s=refresh_s))) as served:
        token = login.token("ann")
        until(lambda: ask(served, token) == 200)
        login.stop()
        served.end_keys()  # with its container
        served.restart()
        served.key_server = served.serve_keys()
        until(lambda: ask(served, token) == 200)
        assert refused_by(login, served) == "those of TIME stay in force"
        login.start()
        # a failure is tried again long before the next time
        until(lambda: ask(served, login.token("ann")) == 200, 40)
        until(lambda: ask(served, token) == 401)  # its key was withdrawn
        until(lambda: served.router.fetch_fault() == "")


def test_a_router_that_never_had_keys_says_that_it_lets_in_nobody(
    models: dict[str, Model], login: Provider
):
    token = login.token("ann")
    login.stop()
    with serving(provided(models, check(login))) as served:
        assert ask(served, token) == 401
        said = "none were fetched yet, so its tokens are refused"
        assert refused_by(login, served) == said
        login.start()
        until(lambda: ask(served, login.token("ann")) == 200)


def test_who_fetches_keys_may_end_and_the_router_goes_on_with_what_it_has(
    models: dict[str, Model], login: Provider
):
    with serving(provided(models, check(login))) as served:
        token = login.token("ann")
        until(lambda: ask(served, token) == 200)
        served.end_keys()
        failed = "http.ingress.jwt_authn.jwks_fetch_failed"
        until(lambda: int(served.router.admin.stats(f"^{failed}$", "Counters").get(failed, 0)) > 1)
        assert ask(served, token) == 200
        gone = f"nothing fetches the keys of {login.jwks_uri}: apply the stack again; those of 20"
        assert served.router.fetch_fault().startswith(gone)


def test_keys_of_a_url_that_is_named_no_more_are_forgotten(
    models: dict[str, Model], login: Provider
):
    with serving(provided(models, check(login))) as served:
        until(lambda: ask(served, login.token("ann")) == 200)
        kept = served.folder / "provider-keys"
        [before] = kept.glob("*.json")
        assert before.stat().st_mode & 0o777 == 0o600
        served.router.publish(
            served.table(provided(models, check(login, jwks_uri=f"{login.jwks_uri}?now")))
        )
        until(lambda: ask(served, login.token("ann")) == 200)
        [after] = kept.glob("*.json")
        assert before.name != after.name
