"""One lab a target."""

from tests.conformance.labs.docker import DockerLab
from tests.conformance.labs.kubernetes import KubernetesLab
from tests.conformance.labs.lab import ANN, BOB, SERVER, Lab, together, wait_until
from tests.conformance.labs.local import LocalLab
from tests.conformance.labs.memory import MemoryLab
from tests.conformance.labs.toy import ToyLab

__all__ = [
    "ANN",
    "BOB",
    "SERVER",
    "DockerLab",
    "KubernetesLab",
    "Lab",
    "LocalLab",
    "MemoryLab",
    "ToyLab",
    "together",
    "wait_until",
]
