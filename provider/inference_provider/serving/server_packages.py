"""What the default server is installed from: the release that an environment asks for, or ours.

Pure. A release of the server that Azure ML's conda files pin needs what conda had brought, or what
it had brought itself, and pip does not.
"""

from collections.abc import Iterator

from inference_provider.spec.environment import EnvironmentSpec
from inference_provider.spec.pins import lies_before, name_of, takes

SERVER = "azureml-inference-server-http"
NEWEST = "1.5.1"
"""Newest release on which this package is tested."""
_OF_OLD_PYTHONS = {"3.7": "0.8.4.2", "3.8": "1.3.4"}
"""Last releases for Pythons that the newest does not run on."""
_BESIDE_OLD_MLFLOWS = (("2.12", "1.0.0"), ("2.16", "1.2.2"))
"""Before which release of MLflow which is the last that goes with its gunicorn.

Source: 17 releases of MLflow, from 1.27 to 3.4, that uv resolved beside releases of the server.
"""


def server_packages(environment: EnvironmentSpec) -> tuple[str, ...]:
    """Return the requirements of the default server, beside those of the environment.

    A requirement of the environment that the release for its Python does not meet stands alone.
    """
    ours = f"{SERVER}=={_release(environment)}"
    asked = [one for one in environment.dependencies if name_of(one) == SERVER]
    is_met = all(takes(one, ours.partition("==")[2]) for one in asked)
    server = (ours,) if is_met else tuple(asked)
    added = server if is_met else ()
    return (*added, *_beside(server, {name_of(one) for one in environment.dependencies}))


def _release(environment: EnvironmentSpec) -> str:
    """Return the newest release that goes with an environment's Python and MLflow."""
    mlflows = [one for one in environment.dependencies if name_of(one) == "mlflow"]
    fitting = [
        _OF_OLD_PYTHONS.get(environment.python_version or "", NEWEST),
        *(
            last
            for first, last in _BESIDE_OLD_MLFLOWS
            if any(lies_before(m, first) for m in mlflows)
        ),
    ]
    return min(fitting, key=lambda release: [int(number) for number in release.split(".")])


def _beside(server: tuple[str, ...], there: set[str]) -> Iterator[str]:
    def is_before(release: str) -> bool:
        return any(lies_before(one, release) for one in server)

    # gunicorn 20.1, which it pins, imports pkg_resources: conda installs setuptools beside pip
    if is_before("1.2.2") and "setuptools" not in there:
        yield "setuptools<81"
    # It has an `azureml.contrib` of its own, which the package `azureml` of the other hides.
    if is_before("1.4") and "azureml-ai-monitoring" in there:
        yield "azureml-contrib-services"
