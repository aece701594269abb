"""A part of a workspace -> planned, agreed to and applied, as `up` does with a whole stack."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from inference_provider.apply import Finished, nobody
from inference_provider.cli import progress, review
from inference_provider.cli.az.site import Site
from inference_provider.errors import TargetError
from inference_provider.observed import ResourceId
from inference_provider.part import Part
from inference_provider.plan import Action
from inference_provider.rollout_end import await_rollouts
from inference_provider.workspace.ports import Progress, silent


def apply_part(site: Site, build: Callable[[Site], Part]) -> None:
    """Apply what somebody wants of a workspace that nobody else changes meanwhile.

    Args:
        site: Where.
        build: Returns what is wanted, from what the workspace holds once it is kept for this.
    """
    session, pipeline = site.session, site.pipeline
    with pipeline.hold(site.stack) as workspaces:
        site = replace(site)  # reads again what it holds
        part = build(site)
        site.refuse_others(*part.wanted)
        planned = pipeline.plan(part, workspaces, prune=False)
        for note in planned.notes:
            site.note(note)
        for action in planned.deletions:
            raise _replaces(site, action)
        with _shown(site) as (step, finished):
            pipeline.apply(planned, step, finished, session.side_by_side(None))
    with _shown(site) as (step, _finished):
        wanted = (action.desired for action in planned.plan.actions if action.desired)
        await_rollouts(wanted, session.target, step)


def _replaces(site: Site, action: Action) -> TargetError:
    """Return the error of what would be deleted first: no verb but `delete` does that."""
    fields = ", ".join(change.path for change in action.changes) or "its record cannot be read"
    reason = f"this would delete it and make it again: {fields}; nothing was changed"
    remedy = "delete it first, or change it in its stack file"
    return TargetError(site.asked.verb, str(action.id), reason, remedy)


def remove_part(site: Site, choose: Callable[[Site], Collection[ResourceId]]) -> None:
    """Delete resources of a workspace, once a person agrees."""
    session, pipeline = site.session, site.pipeline
    with pipeline.hold(site.stack):
        site = replace(site)
        gone = choose(site)
        site.refuse_others(*gone)
        planned = pipeline.removal_of(site.stack, gone, site.held.observed)
        for note in planned.notes:
            site.note(note)
        if not site.asked.yes:
            review.show(session, planned, as_json=True)
            review.confirm(session, planned, yes=False, as_json=False, may_spare=False)
        with _shown(site) as (step, finished):
            pipeline.apply(planned, step, finished, session.side_by_side(None))


@contextmanager
def _shown(site: Site) -> Iterator[tuple[Progress, Finished]]:
    if site.asked.only_show_errors:
        yield silent, nobody
        return
    with progress.shown(site.session.err) as told:
        yield told
