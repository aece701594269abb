"""A change of the table on a running router."""

import concurrent.futures
import contextlib
import json
import pathlib
import socket
import time

import httpx
import pytest

from inference_provider.errors import NotReady, RouterRejected, TargetUnreachable
from inference_provider.router import Backend, DeploymentEntry, RouterTable, render
from inference_provider.router.render import CDS, ECDS, LDS, PROVIDER, RDS, RTDS, version_of
from inference_provider.router.table import ProviderCheck
from inference_provider.targets.envoy.delivery import Delivery
from inference_provider.targets.envoy.drain import drain
from inference_provider.workspace.signing import SigningKeys
from inference_provider.workspace.tokens import new_signing_key
from tests.local.server.load import constant_load
from tests.local.server.model import Model, until
from tests.local.server.routing import (
    PRIMARY,
    Served,
    asked,
    deployment,
    endpoint,
    serving,
)
from tests.ports import own_port

pytestmark = pytest.mark.envoy
GOLDEN = sorted((pathlib.Path(__file__).parents[1] / "golden" / "router" / "in").glob("*.json"))


def test_a_change_of_weights_touches_nothing_else(models: dict[str, Model]):
    two = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    with serving(endpoint("chat", {"blue": 100, "green": 0}, *two)) as served:
        before = served.versions()
        started_s = time.perf_counter()
        served.router.publish(served.table(endpoint("chat", {"blue": 0, "green": 100}, *two)))
        print(f"weights in force after {(time.perf_counter() - started_s) * 1000:.1f} ms")
        after = served.versions()
        changed = sorted(name for name in after if before[name] != after[name])
        assert changed == ["runtime.update_success", "runtime.version_text"]
        assert served.status().weights == {"chat": {"blue": 0, "green": 100}}
        assert set(asked(served, 40)) == {"green"}


def test_a_table_in_force_is_not_written_again(models: dict[str, Model]):
    one = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    with serving(one) as served:
        before = served.versions()
        served.router.publish(served.table(one))
        assert served.versions() == before


def test_adding_moving_and_removing_deployments_under_load_fails_no_request(
    models: dict[str, Model],
):
    blue, green = deployment("blue", models["blue"]), deployment("green", models["green"])
    moved = deployment("blue", models["shadow"])
    wider = deployment("blue", models["blue"], models["shadow"], max_concurrent=50)
    steps = (
        endpoint("chat", {"blue": 100, "green": 0}, blue, green),
        endpoint("chat", {"blue": 50, "green": 50}, blue, green, mirror={"green": 10}),
        endpoint("chat", {"blue": 0, "green": 100}, blue, green),
        endpoint("chat", {"green": 100}, green),
        endpoint("chat", {"blue": 100}, moved),
        endpoint("chat", {"blue": 100}, wider),
        endpoint("chat", {"blue": 100}, blue),
    )
    with serving(steps[-1]) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        with constant_load(served) as found:
            for _ in range(3):
                for step in steps:
                    served.router.publish(served.table(step))
                    time.sleep(0.05)
        print(dict(found))
        assert set(found) == {200}
        assert found[200] > 200
        assert served.status().healthy == {"chat/blue": 1}


def test_a_router_with_an_earlier_versions_files_takes_todays_without_a_failed_request(
    models: dict[str, Model],
):
    dead = own_port()
    blue = deployment("blue", models["blue"])
    green = deployment("green").model_copy(
        update={"backends": (Backend(host="127.0.0.1", port=dead),)}
    )
    with serving(endpoint("chat", {"blue": 100, "green": 0}, blue)) as served:
        for path, text in _earlier_files(served, models["blue"].port, dead).items():
            (served.folder / path).write_text(text)
        served.restart()
        until(lambda: served.ask("chat/score").status_code == 200)
        bare = {"authorization": PRIMARY}
        assert served.client.get("/endpoints/chat/score", headers=bare).status_code == 200
        with constant_load(served) as found:
            time.sleep(0.3)
            table = served.table(endpoint("chat", {"blue": 100, "green": 0}, blue, green))
            served.router.publish(table)
            time.sleep(0.3)
        print(dict(found))
        assert set(found) == {200}
        assert found[200] > 50
        # a connection that was open follows the old rules until it ends, at most 10 s
        address = f"{served.client.base_url}/endpoints/chat/score"
        assert httpx.get(address, headers=bare).status_code == 401


@pytest.mark.parametrize("killed", [False, True], ids=["", "after a publication that was killed"])
def test_a_connection_under_an_earlier_versions_listener_is_let_in_by_no_providers_route(
    models: dict[str, Model], killed: bool
):
    blue = deployment("blue", models["blue"])
    with serving(endpoint("chat", {"blue": 100}, blue)) as served:
        for path, text in _earlier_files(served, models["blue"].port, own_port()).items():
            (served.folder / path).write_text(text)
        served.restart()
        until(lambda: served.ask("chat/score").status_code == 200)
        with socket.create_connection(("127.0.0.1", served.ports[0]), timeout=15) as was_open:
            plain = "GET /endpoints/chat/score HTTP/1.1\r\nhost: a\r\n"
            was_open.sendall(f"{plain}authorization: {PRIMARY}\r\n\r\n".encode())
            assert was_open.recv(5000).startswith(b"HTTP/1.1 200")
            keys = SigningKeys(newer=new_signing_key())
            check = ProviderCheck(issuer="https://a.test", audiences=("b",), jwks=keys.jwks)
            asked = {"auth_mode": "aad_token", "keys": (), "provider": check}
            table = served.table(endpoint("chat", {"blue": 100}, blue, **asked))
            if killed:
                _write_listener(served, table)
            served.router.publish(table)
            with contextlib.suppress(ConnectionError):  # closed, or refused
                was_open.sendall(f"{plain}\r\n".encode())
                assert not was_open.recv(5000).startswith(b"HTTP/1.1 200")


def _write_listener(served: Served, table: RouterTable) -> None:
    """Put the listener of a table in force, as a publication that is killed right after does."""
    files = render(table).files
    for name in (ECDS, PROVIDER, LDS):
        (served.folder / name).parent.mkdir(exist_ok=True)
        replaced = served.folder / "fresh"
        replaced.write_text(files[name])
        replaced.rename(served.folder / name)
    until(lambda: served.versions()["listener_manager.lds.version_text"] == version_of(files[LDS]))


def _earlier_files(served: Served, port: int, dead_port: int) -> dict[str, str]:
    """Return what the version before the first release wrote for these ports and this folder."""
    values = {
        "@folder@": str(served.folder), "10001": str(served.ports[0]),
        "10002": str(served.ports[1]), "10003": str(port), "10004": str(dead_port),
    }  # fmt: skip
    found = {}
    for name in (CDS, LDS, RDS, RTDS, "bootstrap.json"):
        text = (pathlib.Path(__file__).parent / "before" / pathlib.Path(name).name).read_text()
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        found[name] = json.dumps(json.loads(text))
    return found


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_envoy_accepts_every_golden_table(path: pathlib.Path, tmp_path: pathlib.Path):
    table = RouterTable.model_validate_json(path.read_text())
    Delivery(tmp_path).validate(table.model_copy(update={"folder": str(tmp_path)}))


def test_what_envoy_refuses_leaves_the_old_serving(models: dict[str, Model]):
    good = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    bad = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"], timeout_ms=-5))
    with serving(good) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        files = {name: (served.folder / name).read_text() for name in (CDS, LDS, RDS, RTDS)}
        with pytest.raises(RouterRejected) as validated:
            served.router.validate(served.table(bad))
        with pytest.raises(RouterRejected):
            served.router.publish(served.table(bad), timeout_s=5)
        assert "Expected positive duration" in str(validated.value)
        assert PRIMARY not in str(validated.value)
        assert {name: (served.folder / name).read_text() for name in files} == files
        assert served.ask("chat/score").status_code == 200


def test_weights_that_a_dead_router_did_not_confirm_are_not_left_for_its_successor(
    models: dict[str, Model],
):
    both = (deployment("blue", models["blue"]), deployment("green", models["green"]))
    with serving(endpoint("chat", {"blue": 90, "green": 10}, *both)) as served:
        served.router.publish(served.table(endpoint("chat", {"blue": 90, "green": 10}, *both)))
        before = (served.folder / RTDS).read_text()
        served.process.kill()
        served.process.wait(10)
        with pytest.raises(TargetUnreachable):
            served.router.publish(served.table(endpoint("chat", {"blue": 1, "green": 99}, *both)))
        assert (served.folder / RTDS).read_text() == before


def test_a_backend_that_is_not_healthy_gets_no_request_and_the_old_stays(
    models: dict[str, Model],
):
    good = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    dead = DeploymentEntry(
        name="green",
        backends=(Backend(host="127.0.0.1", port=own_port()),),
        timeout_ms=1000,
        max_concurrent=1,
    )
    both = endpoint("chat", {"blue": 0, "green": 100}, deployment("blue", models["blue"]), dead)
    with serving(good) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        with pytest.raises(NotReady, match="chat/green"):
            served.router.publish(served.table(both), timeout_s=1.5)
        assert set(asked(served, 20)) == {"blue"}
        assert served.status().weights == {"chat": {"blue": 100}}


@pytest.fixture
def sleeping(models: dict[str, Model]):
    """A router, and what asks it for an answer after some seconds over a connection of its own."""
    with (
        serving(endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))) as served,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        until(lambda: served.ask("chat/score").status_code == 200)
        served.client.close()
        served.client = httpx.Client(base_url=served.client.base_url, timeout=20)

        def asked_for(seconds: float):
            answer = pool.submit(served.ask, f"chat/sleep/{seconds}")
            time.sleep(0.2)
            return answer

        yield served, asked_for


def drained(served: Served, limit_s: float) -> float:
    """Drain a router; return the seconds after which it has ended."""
    began_s = time.monotonic()
    drain(str(served.router.admin.path), limit_s)
    served.process.wait(5)
    return time.monotonic() - began_s


def test_a_drained_router_ends_after_its_last_request(sleeping):
    served, asked_for = sleeping
    slow = asked_for(1)
    assert drained(served, 10) < 3
    assert slow.result().status_code == 200
    assert slow.result().headers["connection"] == "close"
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.client.base_url)


def test_a_drained_router_closes_idle_connections_after_the_time_of_a_request(sleeping):
    served, asked_for = sleeping
    assert asked_for(0).result().status_code == 200  # which leaves a connection open
    assert 0.5 < drained(served, 0.5) < 2


def test_a_drained_router_cuts_a_request_off_after_twice_the_time_of_the_longest(sleeping):
    served, asked_for = sleeping
    slow = asked_for(4)
    assert 1 < drained(served, 0.5) < 3
    with pytest.raises(httpx.TransportError):
        slow.result()


def test_a_router_that_does_not_run_cannot_be_drained(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        drain(str(tmp_path / "admin.sock"), 1)
