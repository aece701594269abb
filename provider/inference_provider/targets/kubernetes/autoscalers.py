"""What keeps the rule of a generation: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.

There is one of the two, never both: they would take the count from each other.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from inference_provider.errors import TargetError
from inference_provider.spec import AutoscaleRuleSpec
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.applied import is_ours
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.hpa import AMOUNTS, OF_OTHERS, autoscaler_spec
from inference_provider.targets.kubernetes.instance_manifests import Generation
from inference_provider.targets.kubernetes.objects import (
    AUTOSCALER,
    SCALED_OBJECT,
    Kind,
    Object,
    annotations_of,
    labels_of,
)
from inference_provider.targets.kubernetes.observed_objects import There, altered
from inference_provider.targets.kubernetes.refusals import Forbidden
from inference_provider.targets.kubernetes.rivals import told
from inference_provider.targets.kubernetes.scaled_objects import KEDA, scaled_object_spec
from inference_provider.targets.kubernetes.workloads import kind_for as workload_kind
from inference_provider.targets.kubernetes.workloads import nodes_of, replicas, workload_in

RULE = f"{names.PREFIX}/rule"
"""Annotation: a hash of what was applied."""
GONE_S = 30.0
"""Time that KEDA has to end what it has made of a ScaledObject."""
_POLL_S = 0.3
_PAUSE = "autoscaling.keda.sh/paused"
"""Beginning of KEDA's annotations for that."""
Served = Callable[[], Collection[str]]
"""Says which groups the API has."""


def _no_groups() -> tuple[()]:
    return ()


class Autoscalers:
    """Those of one namespace.

    Args:
        client: The cluster's API.
        namespace: Where they are.
        served: Says which groups it has.
    """

    def __init__(self, client: Client, namespace: str, served: Served = _no_groups) -> None:
        self._client = client
        self._namespace = namespace
        self.served = served

    def alone(self, generation: Generation, rule: AutoscaleRuleSpec) -> Object:
        """Return what keeps a rule, once nothing else decides the count."""
        kind = kind_for(rule, self.served)
        if kind == AUTOSCALER:
            self._end_scaled_object(generation.name)
        else:
            self._end_autoscaler(generation.name)
            self._go_on(generation.name)
        return autoscaler(generation, rule, kind)

    def _go_on(self, name: str) -> None:
        """Take back a pause: what is applied leaves the annotations of others."""
        there = self._client.get(SCALED_OBJECT, self._namespace, name)
        if there is not None and is_ours(there) and (pauses := _pauses(there)):
            noted = {"metadata": {"annotations": dict.fromkeys(pauses)}}
            self._client.merge(SCALED_OBJECT, self._namespace, name, noted)

    def end(self, name: str) -> bool:
        """End what decides the count of a generation; return whether there was anything."""
        had = self._end_autoscaler(name)
        return self._end_scaled_object(name) or had

    def delete(self, name: str) -> None:
        """Delete what decides the count of a generation that is deleted too."""
        self._end_autoscaler(name)
        self._delete_scaled_object(name)

    def _end_autoscaler(self, name: str) -> bool:
        """End the one of a generation; return whether it had one that is not of others."""
        return self._deleted(AUTOSCALER, name, self._client.get(AUTOSCALER, self._namespace, name))

    def _end_scaled_object(self, name: str) -> bool:
        """Delete it, and wait until KEDA decides nothing any more; return whether it was there."""
        had, until_s = self._delete_scaled_object(name), time.monotonic() + GONE_S
        made = names.autoscaler_of_keda(name)
        while had and (self._is_there(SCALED_OBJECT, name) or self._is_there(AUTOSCALER, made)):
            if time.monotonic() > until_s:
                what = f"{SCALED_OBJECT.name} {name}"
                reason = f"KEDA still has not ended it after {GONE_S:.0f} s"
                raise TargetError("delete", what, reason, "look whether KEDA's operator runs")
            time.sleep(_POLL_S)
        return had

    def _delete_scaled_object(self, name: str) -> bool:
        if KEDA not in self.served():
            return False
        try:
            one = self._client.get(SCALED_OBJECT, self._namespace, name)
        except Forbidden:
            if self._is_there(AUTOSCALER, names.autoscaler_of_keda(name)):
                raise
            return False  # who may not read one has made none
        return self._deleted(SCALED_OBJECT, name, one)

    def _deleted(self, kind: Kind, name: str, one: Object | None) -> bool:
        """Delete one of ours: people too call theirs by what it scales, as `kubectl` does."""
        if one is None or not is_ours(one):
            return False
        return self._client.delete(kind, self._namespace, name, uid=one["metadata"]["uid"])

    def faults(
        self, name: str, rule: AutoscaleRuleSpec | None, there: There, others: Sequence[Object]
    ) -> Iterator[str]:
        """Say what is wrong with what decides the count of a generation, or that nothing should.

        Args:
            name: That of the generation.
            rule: What the count is to follow.
            there: What there is.
            others: Autoscalers of others that scale it.
        """
        remedy = "the rule" if rule else "declare an autoscale rule instead"
        yield from told(others, ruled=rule is not None, remedy=remedy)
        wanted = kind_for(rule, self.served) if rule else None
        for kind, witness in _witnesses(name).items():
            one = there.get((AUTOSCALER, witness))
            if one is not None and kind != wanted and one not in others:
                yield f"{kind.name} {name} is left over"
        if rule is None or wanted is None or there.get((wanted, name)) in others:
            return
        yield from altered([(wanted, name)], there)
        yield from self._unkept(wanted, name, rule, there)

    def _unkept(
        self, kind: Kind, name: str, rule: AutoscaleRuleSpec, there: There
    ) -> Iterator[str]:
        """Say what keeps an autoscaler of ours from following its rule."""
        found, of = there.get((kind, name)), workload_in(there, name)
        scaled = workload_kind(nodes_of(labels_of(found or {"metadata": {}})))
        spec = _spec(kind, name, self._namespace, rule, scaled)
        if found and annotations_of(found).get(RULE) != _hash(spec):
            yield f"{kind.name} {name} follows another rule than is recorded"
        for pause in _pauses(found) if found else ():
            yield f"{kind.name} {name} is paused by the annotation {pause}"
        if of is not None and not replicas(of) and kind == AUTOSCALER:  # KEDA starts one again
            yield f"{of['kind']} {name} was scaled to 0, which turns its {kind.name} off"

    def _is_there(self, kind: Kind, name: str) -> bool:
        return self._client.get(kind, self._namespace, name) is not None


def kind_for(rule: AutoscaleRuleSpec, served: Served) -> Kind:
    """Return which kind keeps a rule: KEDA's only where no HorizontalPodAutoscaler can."""
    if rule.schedules or not rule.min_instances:
        return SCALED_OBJECT
    there = served() if _may_need_keda(rule) else ()
    return SCALED_OBJECT if KEDA in there and OF_OTHERS not in there else AUTOSCALER


def kinds_of(rules: Iterable[AutoscaleRuleSpec]) -> tuple[Kind, ...]:
    """Return the kinds that may keep one of some rules, and that not every cluster has."""
    return (SCALED_OBJECT,) if any(map(_may_need_keda, rules)) else ()


def _may_need_keda(rule: AutoscaleRuleSpec) -> bool:
    """Whether a HorizontalPodAutoscaler alone may not be able to keep a rule."""
    by_keda_alone = rule.schedules or not rule.min_instances
    return bool(by_keda_alone) or any(one.metric not in AMOUNTS for one in rule.targets)


def autoscaler(generation: Generation, rule: AutoscaleRuleSpec, kind: Kind = AUTOSCALER) -> Object:
    """Return what keeps a rule for one generation."""
    spec = _spec(kind, generation.name, generation.namespace, rule, generation.kind)
    return {
        "apiVersion": kind.api,
        "kind": kind.name,
        "metadata": {
            "name": generation.name,
            "namespace": generation.namespace,
            "labels": dict(generation.labels),
            "annotations": {RULE: _hash(spec)},
        },
        "spec": spec,
    }


def _spec(kind: Kind, name: str, namespace: str, rule: AutoscaleRuleSpec, of: Kind) -> Object:
    if kind == AUTOSCALER:
        return autoscaler_spec(name, rule, of)
    return scaled_object_spec(name, namespace, rule, of)


def _witnesses(name: str) -> dict[Kind, str]:
    """Return by which HorizontalPodAutoscaler each kind shows that it decides a count."""
    return {AUTOSCALER: name, SCALED_OBJECT: names.autoscaler_of_keda(name)}


def _pauses(scaled_object: Object) -> list[str]:
    """Return the annotations by which somebody has KEDA leave the count."""
    noted = annotations_of(scaled_object).items()
    return sorted(name for name, value in noted if name.startswith(_PAUSE) and value != "false")


def _hash(spec: Object) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
