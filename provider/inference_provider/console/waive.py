"""A waiver of one finding: typed, shown, and added to the file beside the stack file."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError
from starlette.responses import Response

from inference_provider.cli.drift import DEFAULT_WAIVERS
from inference_provider.console.answers import Refused, see
from inference_provider.console.opened import Asked, ShownWaiver
from inference_provider.errors import SpecError
from inference_provider.files.waivers import add_waiver, entry_of, with_waiver
from inference_provider.files.wording import faults_of
from inference_provider.waivers import Waiver

USUAL_DAYS = 30
FIELDS = ("address", "field", "owner", "reason", "expires")


def waive(asked: Asked) -> Response:
    """Show the form for one finding, which the page of drift names."""
    day = _today() + timedelta(days=USUAL_DAYS)
    typed = {name: asked.part(name) for name in FIELDS} | {"expires": day.isoformat()}
    typed["owner"] = asked.console.session.actor("drift").user
    return _page(asked, typed)


def _page(asked: Asked, typed: dict[str, str], told: str = "") -> Response:
    return asked.page("waive", status=400 if told else 200, typed=typed, told=told)


def plan_waiver(asked: Asked) -> Response:
    """Show the line that would be added; what is wrong is told beside what was typed."""
    path, typed = _path(asked), {name: asked.form.text(name) for name in FIELDS}
    try:
        waiver = Waiver.model_validate(typed)
        text = with_waiver(path, waiver, _today())
    except ValidationError as exc:
        return _page(asked, typed, "\n".join(map(str, faults_of(exc, Waiver))))
    except SpecError as exc:
        return _page(asked, typed, "\n".join(map(str, exc.faults)))
    plan = asked.console.plans.put(ShownWaiver(waiver, text))
    return asked.page("waiver", file=str(path), entry=entry_of(waiver), plan=plan)


def apply_waiver(asked: Asked) -> Response:
    """Add the waiver that was shown, where the file would still become what it would have."""
    asked.refuse_read_only()
    shown = asked.console.plans.take(asked.form.text("plan"))
    if not isinstance(shown, ShownWaiver):
        raise Refused(400, "This waiver was added already, or is too old. Write it again.")
    path = _path(asked)
    if with_waiver(path, shown.waiver, _today()) != shown.text:
        raise Refused(409, "The file has changed since. Nothing was changed. Write it again.")
    add_waiver(path, shown.waiver, _today())
    return see("/drift?changed=waived")


def _path(asked: Asked) -> Path:
    file = asked.console.file
    if file is None:
        raise Refused(400, "Without a stack file there is no drift to waive.")
    return file.parent / DEFAULT_WAIVERS


def _today() -> date:
    return datetime.now(UTC).date()
