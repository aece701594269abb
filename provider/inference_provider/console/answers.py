"""Values -> pages. Every text is escaped, and shown as a terminal would show it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from inference_provider.compare import show
from inference_provider.observed import ResourceId
from inference_provider.printable import printable
from inference_provider.secret_text import hidden


class Refused(Exception):
    """A request that is answered with a sentence."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status
        self.told = told


@dataclass(frozen=True)
class Shown:
    """What every page says of the console itself."""

    form_token: str
    writes: bool
    stack: str
    """The stack file; empty without one."""


def _shown(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def path_of(resource: ResourceId, *more: str) -> str:
    """Return the path of a resource's page: `/endpoints/demo/iris`, or of a page below it."""
    words = ("endpoints", resource.workspace, resource.name, *more)
    return "".join(f"/{quote(word, safe='')}" for word in words)


_PAGES = Environment(
    loader=PackageLoader("inference_provider.console"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_shown,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals["path_of"] = path_of
_PAGES.globals["show"] = show
_PAGES.filters["hidden"] = hidden


def page(name: str, shown: Shown, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template of this package."""
    text = _PAGES.get_template(f"{name}.html").render(console=shown, **values)
    return HTMLResponse(text.encode(errors="replace"), status)


def error_page(shown: Shown, status: int, told: str, typed: str = "") -> HTMLResponse:
    """Render an error; with what somebody typed, who may send it again then."""
    title = HTTPStatus(status).phrase
    return page("error", shown, status=status, title=title, told=told, typed=typed)


def see(path: str) -> Response:
    """Have the browser ask for another page, as after each change."""
    return RedirectResponse(path, 303)
