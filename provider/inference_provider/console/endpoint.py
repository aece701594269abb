"""The pages of one endpoint: what is behind it, and its split, which is planned before applied."""

from collections.abc import Mapping

from starlette.responses import Response

from inference_provider.cli.alerts import listed
from inference_provider.cli.plan_text import plan_lines
from inference_provider.cli.split import shares_of
from inference_provider.console.answers import path_of, see
from inference_provider.console.charts import charts
from inference_provider.console.opened import Asked, ShownSplit
from inference_provider.console.seen import seen
from inference_provider.errors import SpecError, TargetUnreachable
from inference_provider.observed import ObservedResource, ObservedState
from inference_provider.workspace.statuses import ComputeStatus


def endpoint(asked: Asked) -> Response:
    there, observed = asked.endpoint()
    return _page(asked, there, observed)


def _page(
    asked: Asked,
    there: ObservedResource,
    observed: ObservedState,
    told: str = "",
    typed: Mapping[str, str] | None = None,
) -> Response:
    """Render the page; with what is wrong in the split that somebody typed."""
    found = seen(there, observed, _instances(asked, there))
    past = asked.console.history.of(asked.console.target, there.id.workspace)
    return asked.page(
        "endpoint",
        status=400 if told else 200,
        seen=found,
        alerts=[*listed(asked.console.target, there.id.workspace, there.id.name)],
        past=past,
        charts=charts(past.moments, there.id.name) if past else (),
        told=told,
        typed=typed or {one.name: str(one.share) for one in found.deployments},
        changed=asked.console.changed.take(asked.part("changed")) == there.id,
    )


def _instances(asked: Asked, there: ObservedResource) -> ComputeStatus:
    """Return none where they cannot be asked for: the page says so of each deployment."""
    try:
        return asked.console.target.platform.ports(there.id.workspace).compute.status()
    except TargetUnreachable:
        return ComputeStatus()


def plan_split(asked: Asked) -> Response:
    """Show what a split would change; the form below applies just that."""
    there, observed = asked.endpoint()
    typed = asked.form.under("share")
    try:
        shares = shares_of([f"{name}={text.strip()}" for name, text in typed.items()])
        _spec, plan = asked.console.pipeline.split_plan(there.id, shares)
    except SpecError as exc:
        return _page(asked, there, observed, "\n".join(map(str, exc.faults)), typed)
    name = asked.console.plans.put(ShownSplit(there.id, shares, plan))
    words = " ".join(f"{deployment}={share}" for deployment, share in shares.items())
    return asked.page(
        "split",
        seen=seen(there, observed),
        shares=shares,
        pending=bool(plan.pending),
        lines=plan_lines(plan),
        plan=name,
        command=f"inferctl split {there.id.name} {words} -w {there.id.workspace}",
    )


def apply_split(asked: Asked) -> Response:
    """Apply the plan that was shown. Raises TargetError when it would be another one now."""
    asked.refuse_read_only()
    there, observed = asked.endpoint()
    shown = asked.console.plans.take(asked.form.text("plan"))
    if not isinstance(shown, ShownSplit) or shown.endpoint != there.id:
        told = "This plan was applied already, or is too old. Plan the split again."
        return _page(asked, there, observed, told)
    asked.console.pipeline.split(there.id, shown.shares, shown=shown.plan)
    return see(f"{path_of(there.id)}?changed={asked.console.changed.put(there.id)}")
