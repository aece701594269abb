"""Prints what is installed beside the Python that runs it, as CycloneDX 1.5 in JSON.

`sbom.py <name>:<version>` is run while an image of this name is built. Nothing that it prints
depends on when or where that is. From where a package came is not in it: the address may have a
token. It imports nothing of this package, which the environment does not have.
"""

import json
import sys
from importlib.metadata import distributions
from typing import Any
from urllib.parse import quote


def component(name: str, version: str) -> "dict[str, str]":
    """Return what is said of one package; its name in the address is as PyPI's purls have it."""
    purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def bill(image: str, components: "list[dict[str, str]]") -> "dict[str, Any]":
    """Return the bill of materials of an image."""
    name, _, version = image.partition(":")
    once = {one["purl"]: one for one in components}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [once[purl] for purl in sorted(once)],
    }


def main() -> None:
    """Print the bill of the image that the first argument names."""
    known = ((one.metadata["Name"], one.version) for one in distributions())
    there = [component(name, version) for name, version in known if name and version]
    sys.stdout.write(json.dumps(bill(sys.argv[1], there), indent=1) + "\n")


if __name__ == "__main__":
    main()
