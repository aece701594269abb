"""How much longer the service looks where it watches more endpoints."""

from tests.growth import EIGHT_TIMES, growth
from tests.unit.alerting.watched import Service, rule

from inference_provider.router.counters import Counted


def test_a_look_takes_as_much_longer_as_there_are_more_endpoints(tmp_path):
    def looks(endpoints: int) -> None:
        names = [f"iris-{at}" for at in range(endpoints)]
        service = Service(tmp_path)
        service.rules = {name: {"errors": of_errors} for name in names}
        router = Counted(
            requests={(name, "blue", "200"): 9 for name in names},
            model_errors={},
            bytes={},
            latency={(name, "blue"): {1.0: 9} for name in names},
            instances={(name, "blue"): (1, 1) for name in names},
            connections=1,
            connected=1,
        )
        service.router = router
        service.start()
        service.look(0, 5)

    of_errors = rule(metric="ErrorRate", threshold=5, webhook=None)
    assert growth(looks, 50) < EIGHT_TIMES
