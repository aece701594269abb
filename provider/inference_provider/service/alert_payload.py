"""A message of an alert -> what its webhook gets: Azure Monitor's common alert schema. Pure.

Source: "Common alert schema" and "Sample alert payloads" of Azure Monitor's documentation; the
condition is that of a metric alert with a static threshold. `text`, which is not Azure's, says it
in one sentence: chat programs show that.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from inference_provider.alert_words import unit_of
from inference_provider.alerts import FIRED
from inference_provider.digits import exact
from inference_provider.spec.alert import AlertRule
from inference_provider.workspace.alert_states import Message

_NAMESPACE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"


def payload(workspace: str, endpoint: str, name: str, rule: AlertRule, of: Message) -> Any:
    """Return the JSON that is sent."""
    target = f"/workspaces/{workspace}/onlineEndpoints/{endpoint}"
    essentials: dict[str, Any] = {
        "alertId": f"{target}/alerts/{of.id}",
        "alertRule": name,
        "severity": f"Sev{rule.severity}",
        "signalType": "Metric",
        "monitorCondition": of.condition,
        "monitoringService": "Platform",
        "alertTargetIDs": [target],
        "configurationItems": [endpoint],
        "originAlertId": of.id,
        "firedDateTime": _time(of.fired_at),
        "description": rule.description,
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0",
    }
    if of.condition != FIRED:
        essentials["resolvedDateTime"] = _time(of.time)
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": essentials,
            "alertContext": {
                "properties": {"unit": unit_of(rule).strip(), "reason": of.why},
                "conditionType": "SingleResourceMultipleMetricCriteria",
                "condition": _condition(rule, of),
            },
            "customProperties": {},
        },
        "text": _text(workspace, endpoint, name, rule, of),
    }


def _condition(rule: AlertRule, of: Message) -> dict[str, Any]:
    return {
        "windowSize": f"PT{rule.window_s}S",
        "allOf": [
            {
                "metricName": rule.metric,
                "metricNamespace": _NAMESPACE,
                "operator": _pascal(rule.operator),
                "threshold": exact(rule.threshold),
                "timeAggregation": _pascal(rule.aggregation),
                "dimensions": [
                    {"name": dimension, "value": value}
                    for dimension, values in sorted(rule.dimensions.items())
                    for value in values
                ],
                "metricValue": of.value,
            }
        ],
        "windowStartTime": _time(of.time - timedelta(seconds=rule.window_s)),
        "windowEndTime": _time(of.time),
    }


def _text(workspace: str, endpoint: str, name: str, rule: AlertRule, of: Message) -> str:
    said = f"{of.condition}: alert '{name}' (Sev{rule.severity}) of endpoint"
    return f"{said} '{workspace}/{endpoint}': {of.why}"


def _pascal(words: str) -> str:
    return "".join(word.capitalize() for word in words.split("_"))


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
