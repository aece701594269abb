"""What is said of installed packages, in the form of CycloneDX 1.5."""

import json
import subprocess
import sys

import pytest

from inference_provider.serving.command import SBOM
from inference_provider.serving.sbom import bill, component


@pytest.mark.parametrize(
    ("name", "version", "purl"),
    [
        ("Flask_Cors", "6.0.0", "pkg:pypi/flask-cors@6.0.0"),
        ("zope.interface", "7.1", "pkg:pypi/zope.interface@7.1"),
        ("torch", "2.9.0+cu126", "pkg:pypi/torch@2.9.0%2Bcu126"),
        ("old", "1!2.0", "pkg:pypi/old@1%212.0"),
    ],
)
def test_a_package_has_the_address_that_pypi_s_purls_have(name, version, purl):
    assert component(name, version) == {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }


def test_a_bill_is_sorted_and_names_a_package_once():
    six, numpy = component("six", "1.17.0"), component("numpy", "2.0.0")
    found = bill("inference-environment:0123", [six, numpy, six])
    assert found == {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": "inference-environment", "version": "0123"}
        },
        "components": [numpy, six],
    }


def test_it_is_printed_alike_each_time_by_a_python_that_lacks_this_package():
    command = [sys.executable, "-I", str(SBOM), "inference-runtime"]
    first, second = (subprocess.run(command, capture_output=True, check=True) for _ in "12")
    assert first.stdout == second.stdout
    found = json.loads(first.stdout)
    assert found["metadata"]["component"]["version"] == ""
    assert "pkg:pypi/pydantic@" in str(found["components"])
