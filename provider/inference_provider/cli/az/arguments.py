"""The command line of `inferctl az`, read as the Azure CLI reads it.

argparse is what the Azure CLI stands on: a beginning of an option that fits one alone is enough,
and a wrong command line exits 2. What Azure takes and nothing here does is refused by name.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from inference_provider.cli.az.output import FORMATS

NOT_FOUND = 3
"""How `az` exits where there is no such resource."""
_NO_WEB = "Azure ML studio is not part of this; run `inferctl console` for pages"
_REFUSED = {
    "--web": _NO_WEB,
    "--vscode-debug": "there is no debugger to attach",
    "--local-enable-gpu": "ask for GPUs by resources.limits, whose `nvidia.com/gpu` is their count",
    "--package-model": "model packages are not supported; name an environment",
    "--with-package": "model packages are not supported; name an environment",
    "--registry-name": "a registry of Azure cannot be reached; assets are of a workspace",
    "--datastore": "datastores are not supported; name a local folder or file",
    "--stage": "a model has no stage; write it as a tag",
}


class _Refuse(argparse.Action):
    """An option of Azure's that is refused, with what to do instead."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.error(f"{self.option_strings[0]} is not supported: {self.help}")


def parser() -> argparse.ArgumentParser:
    """Return what reads a command line; `group` and `verb` say which command it is."""
    whole = argparse.ArgumentParser(
        prog="inferctl az",
        description="The verbs of `az ml`, for scripts. See docs/azureml.md.",
    )
    groups = whole.add_subparsers(dest="group", required=True, metavar="GROUP")
    _endpoint_verbs(_group(groups, "online-endpoint", "Online endpoints."))
    _deployment_verbs(_group(groups, "online-deployment", "Deployments behind an endpoint."))
    _asset_verbs(_group(groups, "model", "Models of the workspace."), "model")
    _asset_verbs(_group(groups, "environment", "Environments of the workspace."), "environment")
    return whole


def _group(groups: Any, name: str, text: str) -> Any:
    made = groups.add_parser(name, help=text, description=text)
    return made.add_subparsers(dest="verb", required=True, metavar="VERB")


def _verb(verbs: Any, name: str, text: str) -> Any:
    made = verbs.add_parser(name, help=text, description=text)
    made.add_argument("-w", "--workspace-name", metavar="NAME", help="The workspace.")
    made.add_argument("-g", "--resource-group", metavar="NAME", help="Has no meaning here.")
    made.add_argument("--subscription", metavar="ID", help="Has no meaning here.")
    made.add_argument("-o", "--output", choices=FORMATS, default="json", help="How to print.")
    made.add_argument("--query", metavar="JMESPATH", help="What of the result to print.")
    made.add_argument("--only-show-errors", action="store_true", help="Print no notes and steps.")
    return made


def _changes(made: Any, *, file: str = "Azure ML YAML.") -> None:
    made.add_argument("-f", "--file", metavar="FILE", help=file)
    made.add_argument(
        "--set", nargs="+", action="append", default=[], metavar="PATH=VALUE", dest="sets",
        help="Change a value: a.b[0].c=x.",
    )  # fmt: skip
    made.add_argument("--stack", metavar="NAME", help="The stack that owns it; $INFERENCE_STACK.")
    made.add_argument("--no-wait", action="store_true", help="Has no effect: it waits.")
    _refuse(made, "--web")


def _refuse(made: Any, *options: str) -> None:
    for option in options:
        made.add_argument(option, action=_Refuse, nargs=0, help=_REFUSED[option])


def _name(made: Any, of: str) -> None:
    made.add_argument("-n", "--name", metavar="NAME", help=f"Name of the {of}.")


def _local(made: Any) -> None:
    made.add_argument("--local", action="store_true", help="Only on this machine.")


def _ends(made: Any) -> None:
    made.add_argument("-y", "--yes", action="store_true", help="Delete without asking.")
    made.add_argument("--stack", metavar="NAME", help="The stack that owns it; $INFERENCE_STACK.")
    made.add_argument("--no-wait", action="store_true", help="Has no effect: it waits.")


def _endpoint_verbs(verbs: Any) -> None:
    create = _verb(verbs, "create", "Create an endpoint, or change it to what its file says.")
    update = _verb(verbs, "update", "Change an endpoint, its split or its mirror.")
    for made in (create, update):
        _changes(made)
        _name(made, "endpoint")
        _local(made)
    create.add_argument("--auth-mode", metavar="MODE", help="key, aml_token or aad_token.")
    update.add_argument("--traffic", metavar='"blue=90 green=10"', help="The split.")
    update.add_argument("--mirror-traffic", metavar='"green=10"', help="The mirror.")
    show = _verb(verbs, "show", "Print an endpoint.")
    delete = _verb(verbs, "delete", "Delete an endpoint with its deployments.")
    invoke = _verb(verbs, "invoke", "Send a request; print the answer.")
    credentials = _verb(verbs, "get-credentials", "Print the keys, or a token.")
    keys = _verb(verbs, "regenerate-keys", "Replace one key; the other keeps working.")
    for made in (show, delete, invoke, credentials, keys):
        _name(made, "endpoint")
    for made in (show, delete, invoke, _verb(verbs, "list", "List the endpoints.")):
        _local(made)
    _ends(delete)
    _refuse(show, "--web")
    invoke.add_argument("-r", "--request-file", metavar="FILE", help="The body.")
    invoke.add_argument("-d", "--deployment-name", metavar="NAME", help="Ask this one alone.")
    keys.add_argument(
        "--key-type", choices=("primary", "secondary"), default="primary", help="Which key."
    )


def _deployment_verbs(verbs: Any) -> None:
    create = _verb(verbs, "create", "Create a deployment, or change it to what its file says.")
    update = _verb(verbs, "update", "Change a deployment.")
    for made in (create, update):
        _changes(made)
        made.add_argument("--skip-script-validation", action="store_true", help="Has no effect.")
    create.add_argument(
        "--all-traffic", action="store_true", help="All requests to it, once ready."
    )
    _refuse(create, "--package-model", "--with-package")
    show = _verb(verbs, "show", "Print a deployment.")
    delete = _verb(verbs, "delete", "Delete a deployment that gets no requests.")
    logs = _verb(verbs, "get-logs", "Print what its instances have printed.")
    listed = _verb(verbs, "list", "List the deployments of an endpoint.")
    for made in (create, update, show, delete, logs, listed):
        made.add_argument("-e", "--endpoint-name", metavar="NAME", help="Name of the endpoint.")
        _local(made)
        if made is not listed:
            _name(made, "deployment")
        if made in (create, update):
            _refuse(made, "--vscode-debug", "--local-enable-gpu")
    _ends(delete)
    logs.add_argument("-l", "--lines", type=int, default=50, help="Last lines of each instance.")
    logs.add_argument(
        "-c", "--container", choices=("inference-server", "storage-initializer"),
        default="inference-server", help="Whose.",
    )  # fmt: skip


_OF_ASSET = {
    "model": (
        ("-p", "--path", "Folder or file."),
        ("-t", "--type", "custom_model, mlflow_model or triton_model."),
    ),
    "environment": (
        ("-i", "--image", "Image."),
        ("-c", "--conda-file", "File of packages."),
        ("-b", "--build-context", "Folder that an image is built of."),
        ("-d", "--dockerfile-path", "Dockerfile in it."),
        ("", "--os-type", "linux."),
    ),
}
"""Options of `create` by kind: short, long, help."""


def _asset_verbs(verbs: Any, kind: str) -> None:
    create = _verb(verbs, "create", f"Keep a version of a{'n' * (kind[0] == 'e')} {kind}.")
    _changes(create)
    for short, long, text in _OF_ASSET[kind]:
        names = (name for name in (short, long) if name)
        create.add_argument(*names, metavar=long[2:].upper(), help=text)
    create.add_argument("--description", metavar="TEXT", help="What it is.")
    create.add_argument("--tags", nargs="+", default=[], metavar="NAME=VALUE", help="Tags.")
    show = _verb(verbs, "show", "Print one version.")
    show.add_argument("-l", "--label", choices=("latest",), help="In place of a version.")
    listed = _verb(verbs, "list", "List the latest versions; with --name all of one.")
    for made in (create, show, listed):
        _name(made, kind)
        _refuse(made, "--registry-name")
        if made is not listed:
            made.add_argument("-v", "--version", metavar="VERSION", help="Version.")
    _refuse(create, "--datastore", *(["--stage"] if kind == "model" else []))


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Read a command line; `az ml` may have been replaced in its first word alone.

    Raises:
        SystemExit: 2 where it is wrong, 0 after help.
    """
    return parser().parse_args(words[1:] if words[:1] == ["ml"] else words)
