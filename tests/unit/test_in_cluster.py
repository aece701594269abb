"""The process of a workspace service in a pod: what it answers the kubelet, and when it ends."""

import threading
from typing import Any

import pytest

from inference_provider.service.in_cluster import ALERTS, SPLITS, Alerts, Sending, keep
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.kubernetes.service_probes import Probes
from inference_provider.targets.loopback import loopback_client


class Keeper:
    """Looks as a test says."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = [*faults]
        self.ends = threading.Event()

    def look(self) -> None:
        fault = self.faults.pop(0)
        if not self.faults:
            self.ends.set()
        if fault:
            raise fault


@pytest.fixture
def probes():
    at_s = [0.0]
    made = Probes("127.0.0.1", 0, lambda: at_s[0])
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made, at_s
    made.shutdown()
    made.server_close()
    thread.join()


def asked(probes: Probes, path: str) -> int:
    with loopback_client(timeout_s=5) as client:
        return client.get(f"http://127.0.0.1:{probes.server_address[1]}{path}").status_code


def test_it_is_ready_once_a_look_went_well_and_not_while_the_last_one_did_not(probes):
    probes, _ = probes
    assert asked(probes, "/ready") == 503
    keeper = Keeper(None)
    keep(SPLITS, keeper, probes, keeper.ends, float)
    assert asked(probes, "/ready") == 200
    keeper = Keeper(OSError("the API server does not answer"))
    keep(SPLITS, keeper, probes, keeper.ends, float)
    assert asked(probes, "/ready") == 503


def test_it_is_not_ready_while_a_look_at_alerts_fails_of_which_nothing_else_tells(probes):
    probes, _ = probes
    splits = Keeper(None)
    keep(SPLITS, splits, probes, splits.ends, float)
    alerts = Keeper(OSError("ConfigMap 'inference-alerts' was made by somebody else"))
    keep(ALERTS, alerts, probes, alerts.ends, float)
    assert asked(probes, "/ready") == 503
    alerts = Keeper(OSError("no router answers"))
    keep(ALERTS, alerts, probes, alerts.ends, float, tells=lambda: True)
    assert asked(probes, "/ready") == 200


def test_it_lives_as_long_as_it_looks(probes):
    probes, at_s = probes
    at_s[0] = 1000.0
    assert asked(probes, "/live") == 503
    keeper = Keeper(OSError("the API server does not answer"))
    keep(SPLITS, keeper, probes, keeper.ends, float)
    assert asked(probes, "/live") == 200
    assert asked(probes, "/healthz") == 404


def test_it_ends_after_the_look_that_it_is_in(probes):
    probes, _ = probes
    keeper = Keeper(None, None, None)
    looked = threading.Thread(target=keep, args=(SPLITS, keeper, probes, keeper.ends, float))
    looked.start()
    looked.join(20)
    assert keeper.faults == []


def test_nothing_watches_alerts_before_any_is_declared():
    rules: dict = {}
    keepers = [Keeper(None, None, None)]
    alerts = Alerts(lambda: rules, keepers.pop)
    alerts.look()
    assert len(keepers) == 1
    rules["iris"] = {"slow": "rule"}
    [keeper] = keepers
    alerts.look()
    assert (keepers, len(keeper.faults)) == ([], 2)
    rules.clear()
    alerts.look()  # what has fired is told to be removed
    assert len(keeper.faults) == 1


class Export:
    """Sends logs as a test says."""

    def __init__(self) -> None:
        self.looks, self.ended = 0, False

    def look(self) -> float:
        self.looks += 1
        return 7.0

    def end(self) -> None:
        self.ended = True


def test_logs_are_sent_from_when_they_are_declared_and_their_place_is_noted_at_the_end():
    export: Any = Export()
    none = Sending(lambda: None, lambda: export)
    none.look()
    none.end()
    assert (export.looks, export.ended, none.pause_s()) == (0, False, 5.0)
    settings = LogSettings(otlp_endpoint="http://otel:4318")
    sends = Sending(lambda: settings, lambda: export)
    sends.look()
    sends.end()
    assert (export.looks, export.ended, sends.pause_s()) == (1, True, 7.0)


def test_settings_for_how_long_logs_stay_send_none():
    opened: list[Any] = []

    def opens() -> Any:
        opened.append(Export())
        return opened[-1]

    sends = Sending(lambda: LogSettings(retention_days=7), opens)
    sends.look()
    assert opened == []
