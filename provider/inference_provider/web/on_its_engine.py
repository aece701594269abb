"""The service of a workspace of a Docker host: a container that has the socket of its Engine."""

from functools import partial
from pathlib import Path

from inference_provider.targets.docker.companion import FOLDER
from inference_provider.targets.docker.records import HostRecords
from inference_provider.targets.docker.target import DockerTarget
from inference_provider.targets.docker.web import LISTENING
from inference_provider.targets.web_service import PAGES
from inference_provider.web.declared import await_declared
from inference_provider.web.serving import OneWorkspace, Place
from inference_provider.web.site import site_of
from inference_provider.workspace.state import State


class _Target(OneWorkspace, DockerTarget):
    """A Docker host, as if it had no other workspace."""


def opened(workspace: str, *given: str) -> Place:
    """Open the Docker host that DOCKER_HOST names."""
    host, port, scheme, pages, _version = given
    target, folder = _Target("docker"), Path(FOLDER)
    note = folder / LISTENING
    note.unlink(missing_ok=True)  # of a run before this one
    state = State(HostRecords(target.docker.host, workspace))
    await_declared(state, scheme)
    return Place(
        target=target,
        workspace=workspace,
        state=state,
        router_url=lambda: target.docker.router(workspace).address().url,
        folder=folder,
        host=host,
        port=int(port),
        scheme=scheme,
        site=partial(site_of, host, int(port)),
        pages=pages == PAGES,
        listens=note.touch,
    )
