"""`az`: one command line -> one verb, its result printed as the Azure CLI prints it.

The module of a verb is imported when it runs.
"""

import sys
from importlib import import_module

import typer

from inference_provider.cli.az.arguments import parsed
from inference_provider.cli.az.output import formatted, queried, to_show
from inference_provider.cli.az.site import Site
from inference_provider.cli.session import session_of

VERBS = {
    "online-endpoint": {
        "create": "endpoints.create",
        "update": "endpoints.update",
        "show": "shown.show_endpoint",
        "list": "shown.list_endpoints",
        "delete": "endpoints.delete",
        "invoke": "calls.invoke",
        "get-credentials": "calls.credentials",
        "regenerate-keys": "calls.regenerate_keys",
    },
    "online-deployment": {
        "create": "deployments.create",
        "update": "deployments.update",
        "show": "shown.show_deployment",
        "list": "shown.list_deployments",
        "delete": "deployments.delete",
        "get-logs": "calls.print_logs",
    },
    "model": {"create": "assets.create", "show": "assets.show", "list": "assets.listed"},
    "environment": {"create": "assets.create", "show": "assets.show", "list": "assets.listed"},
}
"""Function of each verb: takes a Site, returns what is printed; null prints nothing."""


def az(ctx: typer.Context) -> None:
    """Run a verb of `az ml`, for scripts."""
    asked = parsed(ctx.args)
    module, _, function = VERBS[asked.group][asked.verb].partition(".")
    verb = getattr(import_module(f"inference_provider.cli.az.{module}"), function)
    result = verb(Site.of(session_of(ctx), asked))
    text = formatted(queried(result, asked.query), asked.output)
    print(to_show(text, on_terminal=sys.stdout.isatty()), end="")
