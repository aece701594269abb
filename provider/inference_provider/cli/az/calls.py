"""What is asked of a running endpoint: an answer, its credentials, its logs."""

from datetime import timedelta
from typing import Any

import httpx

from inference_provider.cli.answer_text import decoded
from inference_provider.cli.az.documents import keys_document
from inference_provider.cli.az.site import Site
from inference_provider.cli.keys import read_keys
from inference_provider.cli.score import asked, failure, largest_mib, read_body
from inference_provider.errors import InferenceError, TargetError
from inference_provider.observed import Kind, ObservedResource
from inference_provider.printable import coloured
from inference_provider.workspace.logged import LogQuery

_TOKEN_LIFETIME = timedelta(minutes=60)


def invoke(site: Site) -> str:
    """Return what an endpoint, or one deployment of it, answers."""
    there = site.endpoint("--name")
    site.required("--request-file")
    name = _deployment_name(site, there)
    body = read_body(site.session, site.asked.request_file, largest_mib(there), "--request-file")
    with asked(site.session, there, body, name) as (answer, by_socket):
        if not answer.is_success:
            raise failure(site.session, there, answer, name, by_socket=by_socket)
        answer.read()
        return decoded(answer.content, answer.charset_encoding)


def _deployment_name(site: Site, endpoint: ObservedResource) -> str | None:
    """Return the deployment to ask; raises in the words of Azure where there is none."""
    names = [one.id.name.partition("/")[2] for one in site.behind(endpoint.id)]
    wanted = site.asked.deployment_name
    if not names:
        reason = "No deployment exists for this endpoint"
        raise TargetError("invoke", str(endpoint.id), reason, "create one first")
    if wanted is None:
        return None
    found = next((name for name in names if name.lower() == wanted.lower()), None)
    if found is None:
        reason = f"Deployment name {wanted} not found for this endpoint"
        raise TargetError("invoke", str(endpoint.id), reason, f"it has {', '.join(sorted(names))}")
    return found


def credentials(site: Site) -> dict[str, Any]:
    """Return the keys of an endpoint, or a token for it."""
    there, session = site.endpoint("--name"), site.session
    mode, actor = there.properties.get("auth_mode"), session.actor(site.command)
    if mode == "aml_token":
        return {**session.target.token(there.id, _TOKEN_LIFETIME, actor).answer}
    return keys_document(read_keys(session.target, there, actor))


def regenerate_keys(site: Site) -> None:
    """Replace one key of an endpoint."""
    there, actor = site.endpoint("--name"), site.session.actor(site.command)
    site.session.target.rotate_key(there.id, site.asked.key_type, actor)


def print_logs(site: Site) -> None:
    """Print the last lines of what a deployment's instances have printed."""
    name = f"{site.required('--endpoint-name')}/{site.required('--name')}"
    deployment, target = site.id_of(Kind.DEPLOYMENT, name), site.session.target
    if not target.has_logs(deployment):  # one whose first start failed has logs alone
        site.deployment()
    query = LogQuery(lines=site.asked.lines, container=site.asked.container)
    for line in target.logs(deployment, query):
        print(coloured(f"{line.instance}: {line.text}"))


def served_openapi(site: Site, endpoint: ObservedResource) -> str | None:
    """Return the URL of an endpoint's OpenAPI document; None where nothing answers it."""
    uri, split = endpoint.outputs.get("openapi_uri"), site.traffic(endpoint.id)
    serves = split is not None and any(split.properties.get("traffic", {}).values())
    if not uri or not serves:
        return None
    try:
        with asked(site.session, endpoint, b"", None, document=uri) as (answer, _):
            return uri if answer.status_code == httpx.codes.OK else None
    except InferenceError:
        return None
