"""A lab of the toy target."""

from pathlib import Path

from pydantic import SecretStr

from tests.conformance import toy
from tests.conformance.labs.lab import Lab


class ToyLab(Lab):
    @classmethod
    def open(cls, folder: Path) -> toy.Platform:
        return toy.Platform()

    def end(self, *names: str) -> None:
        for name in names:
            process = self.ports.compute.there[name].process
            process.kill()
            process.wait()

    def _send(self, endpoint: str, key: str, headers: dict[str, str]) -> int:
        return self.router.ask(endpoint, SecretStr(key), headers)
