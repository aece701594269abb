"""Files a spec names -> faults: missing ones, and scoring scripts that cannot work.

Goes in: one spec and the folder its paths are relative to. The scripts are parsed, never run.
"""

from collections.abc import Iterator
from pathlib import Path

from inference_provider.errors import Fault
from inference_provider.files.digest import LinkOutside, tree_files, unreadable
from inference_provider.files.program import Served, program_fault
from inference_provider.files.reading import (
    RELATIVE,
    SCRIPT_MIB,
    Unreadable,
    is_text,
    read_bytes,
)
from inference_provider.files.requirements import requirement_faults
from inference_provider.files.script import Python, python_of, script_faults
from inference_provider.spec import DeploymentSpec, EnvironmentSpec, ModelSpec, SpecModel
from inference_provider.spec.deployment import CodeConfiguration

_UNKNOWN = Served()


def file_faults(spec: SpecModel, base_dir: Path, served: Served = _UNKNOWN) -> tuple[Fault, ...]:
    """Return what is wrong with the files a spec names; paths relative to the spec.

    Args:
        spec: Names files.
        base_dir: Folder its paths are relative to.
        served: What a deployment is served with, as far as it is known.
    """
    if isinstance(spec, ModelSpec):
        return _faults(_content_faults(base_dir / spec.path, spec.path, "path"), "path")
    if isinstance(spec, EnvironmentSpec):
        return tuple(requirement_faults(spec, base_dir))
    if isinstance(spec, DeploymentSpec):
        return _faults(_deployment_faults(spec, base_dir, served), "code_configuration")
    return ()


def _deployment_faults(spec: DeploymentSpec, base_dir: Path, served: Served) -> Iterator[Fault]:
    if spec.code_configuration is not None:
        yield from _code_faults(spec.code_configuration, base_dir, python_of(served.environments))
    found = program_fault(spec, served, base_dir)
    if found:
        yield Fault("environment", *found)


def _faults(found: Iterator[Fault], field: str) -> tuple[Fault, ...]:
    """Gather faults; a path that cannot even be looked at is one (no right to, a name too long)."""
    try:
        return tuple(found)
    except OSError as exc:
        return (Fault(field, f"cannot be looked at: {exc.strerror}", RELATIVE),)
    except ValueError as exc:  # a null byte
        return (Fault(field, f"not a path: {exc}", RELATIVE),)


def _content_faults(path: Path, written: str, field: str) -> Iterator[Fault]:
    if not written or not path.exists():
        yield Fault(field, f"no file or folder '{written}'", RELATIVE)
        return
    try:
        names = [name for name, _ in tree_files(path)]
    except (OSError, LinkOutside) as exc:
        yield unreadable(exc, field)
        return
    for name in names:
        if not is_text(name):
            shown = name.encode(errors="backslashreplace").decode()
            yield Fault(field, f"the name of the file '{shown}' is not UTF-8", "rename the file")
    if not names:
        yield Fault(field, f"the folder '{written}' is empty", "put the files there first")


def _code_faults(code: CodeConfiguration, base_dir: Path, python: Python | None) -> Iterator[Fault]:
    folder = base_dir / code.code
    if not folder.is_dir():
        yield Fault("code_configuration.code", f"no folder '{code.code}'", RELATIVE)
        return
    yield from _content_faults(folder, code.code, "code_configuration.code")
    if code.scoring_script is None:  # the environment's own command starts the server
        return
    field, script = "code_configuration.scoring_script", folder / code.scoring_script
    if not script.resolve().is_relative_to(folder.resolve()):
        yield Fault(field, f"'{code.scoring_script}' is outside of '{code.code}'", "move it in")
    elif not script.is_file():
        reason = f"no file '{code.scoring_script}' in '{code.code}'"
        yield Fault(field, reason, "its path is relative to code")
    else:
        try:
            content = read_bytes(script, code.scoring_script, SCRIPT_MIB)
        except Unreadable as exc:
            yield exc.fault(field, "its path is relative to code")
            return
        yield from script_faults(content, code.scoring_script, field, python)
