"""The requirements of an environment, from both its fields -> lines, and their faults."""

from collections.abc import Iterator
from pathlib import Path

from inference_provider.errors import Fault
from inference_provider.files.reading import (
    RELATIVE,
    REQUIREMENTS_MIB,
    Unreadable,
    inside,
    read_text,
)
from inference_provider.spec import EnvironmentSpec
from inference_provider.spec.requirement import requirement_fault


def requirement_lines(folder: Path, written: str) -> tuple[tuple[int, str], ...]:
    """Return the requirements of a requirements.txt, each with the line on which it starts.

    Raises:
        Unreadable: It is not text, or cannot be read.
    """
    text = read_text(inside(folder, written), Path(written).name, REQUIREMENTS_MIB)
    found, number = [], 1
    for line in text.replace("\\\n", " \0").splitlines():
        # pip's rule: a comment starts a line, or follows a space.
        plain = (" " + line.replace("\0", "")).partition(" #")[0].strip()
        if plain:
            found.append((number, plain))
        number += 1 + line.count("\0")
    return tuple(found)


def requirement_faults(spec: EnvironmentSpec, base_dir: Path) -> Iterator[Fault]:
    """Yield what is wrong with an environment's requirements; paths relative to the spec."""
    for i, text in enumerate(spec.dependencies):
        if found := requirement_fault(text):
            yield Fault(f"dependencies.{i}", *found)
    if spec.requirements_file is None:
        return
    try:
        lines = requirement_lines(base_dir, spec.requirements_file)
    except Unreadable as exc:
        yield exc.fault("requirements_file", RELATIVE)
        return
    for number, text in lines:
        if found := requirement_fault(text):
            reason, remedy = found
            yield Fault("requirements_file", f"line {number}: {reason}", remedy)
