"""What a publication leaves behind: clusters that drain, and what the next one knows."""

import concurrent.futures
import json
import threading
import time

import pytest
from pydantic import SecretStr
from websockets.sync.client import connect

from inference_provider.errors import NotReady
from inference_provider.router import DeploymentEntry, EndpointEntry
from inference_provider.router.render import CDS, RTDS
from inference_provider.targets.envoy.delivery import Delivery
from tests.local.server.load import constant_load
from tests.local.server.model import Model, until
from tests.local.server.routing import (
    KEY,
    Served,
    asked,
    deployment,
    endpoint,
    serving,
)
from tests.ports import own_port

pytestmark = pytest.mark.envoy


def clusters(served: Served) -> set[str]:
    """Return the clusters that the running router has; one that is dropped, until it is idle."""
    stats = served.router.admin.stats(r"^cluster\..*/.*\.membership_total$", "Gauges")
    return {name.removeprefix("cluster.").removesuffix(".membership_total") for name in stats}


def both(models: dict[str, Model]) -> tuple[DeploymentEntry, DeploymentEntry]:
    return deployment("blue", models["blue"]), deployment("green", models["green"])


def split(models: dict[str, Model], blue: int = 50) -> EndpointEntry:
    return endpoint("chat", {"blue": blue, "green": 100 - blue}, *both(models))


def only_green(models: dict[str, Model]) -> EndpointEntry:
    return endpoint("chat", {"green": 100}, deployment("green", models["green"]))


def test_a_removal_waits_for_nobody_and_cuts_nobody(models: dict[str, Model]):
    with serving(split(models)) as served, concurrent.futures.ThreadPoolExecutor(1) as pool:
        until(lambda: served.ask("chat/score").status_code == 200)
        slow = pool.submit(served.ask, "chat/sleep/4", pin="blue")
        until(lambda: served.status().in_flight.get("chat/blue") == 1)
        after = served.table(only_green(models))
        served.router.publish(after)
        assert not slow.done()
        assert served.ask("chat/score", pin="blue").status_code == 404
        assert set(asked(served, 20)) == {"green"}
        assert served.router.is_drained("chat/blue") is False
        served.router.publish(after)  # drops nothing that is in use
        assert clusters(served) == {"chat/blue", "chat/green"}
        assert slow.result().status_code == 200
        until(lambda: served.router.is_drained("chat/blue"))
        assert served.status().healthy == {"chat/green": 1}
        served.router.publish(after)
        until(lambda: clusters(served) == {"chat/green"})
        assert served.router.is_drained("chat/blue") is True
        assert served.router.is_drained("chat/green") is False


def test_what_outlives_its_timeout_is_dropped_by_a_later_publication(models: dict[str, Model]):
    blue = deployment("blue", models["blue"], timeout_ms=300)
    with serving(endpoint("chat", {"blue": 100}, blue)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        address = f"ws://127.0.0.1:{served.ports[0]}/endpoints/chat/ws"
        with connect(address, additional_headers=KEY) as opened:
            opened.send("one")
            assert opened.recv(5) == "one"
            served.router.publish(served.table())
            assert served.router.is_drained("chat/blue") is False
            until(lambda: served.router.is_drained("chat/blue"), timeout_s=2)
            opened.send("two")
            assert opened.recv(5) == "two"
            served.router.publish(served.table())
            assert served.router.in_force() == served.table()
            assert "chat/blue" not in (served.folder / CDS).read_text()


def test_a_deployment_that_comes_back_while_it_drains_serves(models: dict[str, Model]):
    with serving(split(models)) as served, concurrent.futures.ThreadPoolExecutor(1) as pool:
        until(lambda: served.ask("chat/score").status_code == 200)
        slow = pool.submit(served.ask, "chat/sleep/1", pin="blue")
        until(lambda: served.status().in_flight.get("chat/blue") == 1)
        served.router.publish(served.table(only_green(models)))
        served.router.publish(served.table(split(models)))
        assert set(asked(served, 40)) == {"blue", "green"}
        assert slow.result().status_code == 200
        assert clusters(served) == {"chat/blue", "chat/green"}


def test_a_change_of_weights_drops_nothing_and_writes_nothing_else(models: dict[str, Model]):
    shadow = deployment("shadow", models["shadow"])
    three = endpoint("chat", {"blue": 50, "green": 50}, *both(models), shadow)
    with serving(three) as served:
        served.router.publish(served.table(three))
        served.router.publish(served.table(split(models)))
        before = served.versions()
        served.router.publish(served.table(split(models, blue=10)))
        changed = {name for name, value in served.versions().items() if before[name] != value}
        assert changed == {"runtime.update_success", "runtime.version_text"}
        served.router.publish(served.table(split(models, blue=10)))
        until(lambda: clusters(served) == {"chat/blue", "chat/green"})


def test_another_process_knows_what_is_in_force(models: dict[str, Model]):
    with serving(split(models)) as served:
        served.router.publish(served.table(split(models)))
        before = served.versions()
        another = Delivery(served.folder)
        assert another.in_force() == served.table(split(models))
        another.publish(served.table(split(models, blue=0)))
        changed = {name for name, value in served.versions().items() if before[name] != value}
        assert changed == {"runtime.update_success", "runtime.version_text"}
        assert served.router.in_force() == served.table(split(models, blue=0))


def test_a_publication_that_fails_is_not_remembered(models: dict[str, Model]):
    dead = deployment("green").model_copy(
        update={"backends": (models["green"].backend.model_copy(update={"port": own_port()}),)}
    )
    good = endpoint("chat", {"blue": 100}, deployment("blue", models["blue"]))
    bad = endpoint("chat", {"green": 100}, deployment("blue", models["blue"]), dead)
    with serving(good) as served:
        served.router.publish(served.table(good))
        with pytest.raises(NotReady):
            served.router.publish(served.table(bad), timeout_s=1)
        assert served.router.in_force() == served.table(good)
        assert Delivery(served.folder).in_force() == served.table(good)


@pytest.mark.parametrize("damage", ["gone", "spoiled", "of a publication that was killed"])
def test_a_router_that_nobody_remembers_is_changed_without_a_failed_request(
    models: dict[str, Model], damage: str
):
    shadow = deployment("shadow", models["shadow"])
    three = endpoint("chat", {"blue": 20, "green": 40, "shadow": 40}, *both(models), shadow)
    with serving(split(models)) as served, concurrent.futures.ThreadPoolExecutor(1) as pool:
        until(lambda: served.ask("chat/score").status_code == 200)
        served.router.publish(served.table(split(models)))
        remembered = (served.folder / "table.json").read_bytes()
        served.router.publish(served.table(three))
        if damage == "gone":
            (served.folder / "table.json").unlink()
        elif damage == "spoiled":
            (served.folder / "table.json").write_text('{"table": 5')
        else:
            (served.folder / "table.json").write_bytes(remembered)
        slow = pool.submit(served.ask, "chat/sleep/1", pin="shadow")
        until(lambda: served.status().in_flight.get("chat/shadow") == 1)
        with constant_load(served) as found:
            time.sleep(0.2)
            another = Delivery(served.folder)
            assert another.in_force() is None
            another.publish(served.table(only_green(models)))
            time.sleep(0.2)
        print(dict(found))
        assert slow.result().status_code == 200
        assert set(found) == {200}
        assert set(asked(served, 20)) == {"green"}
        assert another.in_force() is not None
        another.publish(served.table(only_green(models)))
        until(lambda: clusters(served) == {"chat/green"})


def test_what_the_records_said_before_is_what_an_older_router_is_taken_to_serve(
    models: dict[str, Model],
):
    with serving(split(models)) as served, concurrent.futures.ThreadPoolExecutor(1) as pool:
        until(lambda: served.ask("chat/score").status_code == 200)
        (served.folder / "table.json").unlink()
        slow = pool.submit(served.ask, "chat/sleep/4", pin="blue")
        until(lambda: served.status().in_flight.get("chat/blue") == 1)
        before, after = served.table(split(models)), served.table(only_green(models))
        served.router.publish(before)
        served.router.publish(after)
        assert not slow.done()
        assert served.router.is_drained("chat/blue") is False
        assert slow.result().status_code == 200


def test_files_of_another_form_are_looked_at_again_and_those_that_are_the_same_stay(
    models: dict[str, Model],
):
    with serving(split(models)) as served:
        served.router.publish(served.table(split(models)))
        before = served.versions()
        path = served.folder / "table.json"
        remembered = path.read_text()
        path.write_text(json.dumps({**json.loads(remembered), "form": "of another release"}))
        served.router.publish(served.table(split(models)))
        assert served.versions() == before
        assert path.read_text() == remembered


def test_lost_keys_are_those_in_force_and_a_new_router_has_them_too(models: dict[str, Model]):
    with serving(split(models)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        served.router.publish(served.table(split(models)))
        lost = split(models, blue=10).model_copy(update={"keys": ()})
        served.router.publish(served.table(lost))
        assert served.ask("chat/score").status_code == 200
        Delivery(served.folder).write_all(served.table(lost))
        served.restart()
        until(lambda: served.ask("chat/score").status_code == 200)


def test_keys_of_a_table_that_is_not_believed_open_nothing(models: dict[str, Model]):
    with serving(split(models)) as served:
        until(lambda: served.ask("chat/score").status_code == 200)
        path = served.folder / "table.json"
        remembered = path.read_text()
        rotated = (SecretStr("a-fresh-key"), SecretStr("another-fresh-key"))
        served.router.publish(served.table(split(models).model_copy(update={"keys": rotated})))
        assert served.ask("chat/score").status_code == 401
        path.write_text(remembered)
        served.router.publish(served.table(split(models).model_copy(update={"keys": ()})))
        assert served.ask("chat/score").status_code == 401


@pytest.mark.parametrize("before_version", ["x", ""])
def test_weights_that_somebody_wrote_by_hand_are_what_the_status_says(
    models: dict[str, Model], before_version: str
):
    with serving(split(models)) as served:
        served.router.publish(served.table(split(models)))
        text = (served.folder / RTDS).read_text().replace('"w.chat/blue": 50', '"w.chat/blue": 7')
        beside = served.folder / "by-hand.json"
        beside.write_text(text.replace('"version_info": "', f'"version_info": "{before_version}'))
        beside.replace(served.folder / RTDS)
        until(lambda: served.status().weights == {"chat": {"blue": 7, "green": 50}})
        served.router.publish(served.table(split(models)))
        until(lambda: served.status().weights == {"chat": {"blue": 50, "green": 50}})


def test_the_clusters_file_names_what_drains_until_it_is_dropped(models: dict[str, Model]):
    with serving(split(models)) as served:
        served.router.publish(served.table(split(models)))
        served.router.publish(served.table(only_green(models)))
        assert '"chat/blue"' in (served.folder / CDS).read_text()
        served.restart()  # a router that dies now reads both
        assert clusters(served) == {"chat/blue", "chat/green"}
        served.router.publish(served.table(only_green(models)))
        assert '"chat/blue"' not in (served.folder / CDS).read_text()


def test_many_who_ask_at_once_ask_the_router_few_times(models: dict[str, Model]):
    with serving(split(models)) as served:
        start = threading.Barrier(20)
        name = "http.admin.downstream_rq_total"
        before = served.router.admin.stats(f"^{name}$", "Counters")[name]

        def ask(_number: int) -> int:
            start.wait()
            return served.status().healthy["chat/blue"]

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            assert set(pool.map(ask, range(20))) == {1}
        asked_for = served.router.admin.stats(f"^{name}$", "Counters")[name] - before
        print(f"20 callers, {asked_for} questions")
        assert asked_for <= 20  # two each, were all of them asked
