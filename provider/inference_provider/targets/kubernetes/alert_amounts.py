"""Alerts by what instances use: which a cluster measures, and whether it can."""

from collections.abc import Callable, Collection, Iterator

from inference_provider.errors import Fault
from inference_provider.observed import Kind
from inference_provider.spec import EndpointSpec
from inference_provider.spec.alert import OF_INSTANCES
from inference_provider.targets.kubernetes.hpa import AMOUNTS
from inference_provider.targets.kubernetes.rights import OF_AMOUNTS
from inference_provider.workspace.declared import any_declares
from inference_provider.workspace.kept_alerts import Rules, rules_in
from inference_provider.workspace.ports import Records
from inference_provider.workspace.state import State

_OTHERWISE = "use another metric, such as RequestLatency_P95, or an alert of your Prometheus"


def alert_faults(spec: EndpointSpec, groups: Callable[[], Collection[str]]) -> Iterator[Fault]:
    """Yield which alerts would never fire.

    Args:
        spec: An endpoint.
        groups: Returns the groups that the cluster's API has. It raises TargetError.
    """
    for name, rule in spec.alerts.items():
        if not rule.enabled or rule.metric not in OF_INSTANCES:
            continue
        at = f"alerts.{name}.metric"
        if rule.metric not in AMOUNTS:
            reason = f"no API of a cluster tells the {rule.metric} of instances"
            yield Fault(at, reason, _OTHERWISE)
        elif OF_AMOUNTS not in groups():
            reason = f"{rule.metric} needs {OF_AMOUNTS}, which the cluster does not serve"
            yield Fault(at, reason, f"install metrics-server, or {_OTHERWISE}")


def goes_by_amounts(rules: Rules) -> bool:
    """Whether any alert that is on goes by what instances use."""
    every = (one for some in rules.values() for one in some.values())
    return any(one.enabled and one.metric in AMOUNTS for one in every)


def needs_amounts(records: Records) -> bool:
    """Whether any alert that is declared does."""
    declared = any_declares(records, Kind.ENDPOINT, "alerts")
    return declared and goes_by_amounts(rules_in(State(records)))
