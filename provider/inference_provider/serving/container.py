"""What an instance finds in a container, on whatever target that is. Pure."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from inference_provider.serving.command import Surroundings
from inference_provider.serving.image import SCRIPT

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def in_container(bin_dir: PurePosixPath, way_out: Mapping[str, str]) -> Surroundings:
    """Return it.

    Args:
        bin_dir: That of the environment.
        way_out: Variables that tell of a forward proxy.
    """
    return Surroundings(
        host="0.0.0.0",
        bin_dir=bin_dir,
        script=PurePosixPath(SCRIPT),
        home=PurePosixPath("/"),
        inherited={"PATH": _PATH, "HOME": "/tmp", **way_out},
        fixed={"VIRTUAL_ENV": str(bin_dir.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        has_program=lambda _name: False,  # found on its PATH
    )
