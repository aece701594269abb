"""`${env:NAME}`, `${file:PATH}` and `${vault:MOUNT/PATH#KEY}` in values -> what they stand for.

What refers to a connection, `${{azureml://connections/…}}`, stays as it is.

A value from outside may be a secret, so it is remembered, and `Expansion.hide` removes it from
every fault.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inference_provider.errors import Fault, SecretNotRead
from inference_provider.files.lines import join
from inference_provider.files.reading import VALUE_MIB, Unreadable, inside, is_text, read_text
from inference_provider.files.vault import VaultValues
from inference_provider.injection import ANY
from inference_provider.secret_text import LONG_ENOUGH, hidden

_PLACEHOLDER = re.compile(rf"\$\$\{{|(?P<left>{ANY.pattern})|\$\{{(?P<asked>[^}}]*)\}}")


@dataclass
class Expansion:
    """Replaces placeholders, and remembers their values."""

    base_dir: Path
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    faults: list[Fault] = field(default_factory=list)
    stood_for: list[tuple[str, str]] = field(default_factory=list)
    """Path and value of each placeholder."""
    _values: dict[str, str] = field(default_factory=dict)
    _vault: VaultValues | None = None

    def expand(self, value: Any, path: str = "") -> Any:
        """Return `value` with every placeholder in its strings replaced."""
        if isinstance(value, dict):
            return {key: self.expand(item, join(path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item, join(path, str(i))) for i, item in enumerate(value)]
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda match: self._replacement(match, path), value)
        return value

    def _replacement(self, match: re.Match[str], path: str) -> str:
        if match["left"]:
            return match.group()
        if match["asked"] is None:
            return "${"
        source, _, name = match["asked"].partition(":")
        text = match.group(0)
        if source == "env" and name:
            found = self._variable(name, path)
        elif source == "file" and name:
            found = self._file(name, path)
        elif source == "vault" and name:
            found = self._secret(name, path)
        else:
            remedy = (
                "write ${env:NAME}, ${file:PATH} or ${vault:MOUNT/PATH#KEY}, or $${ for a plain ${"
            )
            self.faults.append(Fault(path, f"'{text}' is not a placeholder", remedy))
            found = None
        if found:
            self._values[found] = text
            self.stood_for.append((path, found))
        return text if found is None else found

    def _variable(self, name: str, path: str) -> str | None:
        if name not in self.environment:
            reason = f"environment variable {name} is not set"
            self.faults.append(Fault(path, reason, f"set {name}, or write the value here"))
        elif not is_text(self.environment[name]):
            reason = f"environment variable {name} is not UTF-8 text"
            self.faults.append(Fault(path, reason, "set it to UTF-8 text"))
            return None
        return self.environment.get(name)

    def _file(self, name: str, path: str) -> str | None:
        try:
            return read_text(inside(self.base_dir, name), name, VALUE_MIB).rstrip("\n")
        except Unreadable as exc:
            remedy = "name a text file, relative to the stack file"
            self.faults.append(exc.fault(path, remedy))
            return None

    def _secret(self, name: str, path: str) -> str | None:
        self._vault = self._vault or VaultValues(self.environment)
        try:
            return self._vault.value(name)
        except SecretNotRead as fault:
            self.faults.append(Fault(path, fault.reason, fault.remedy))
            return None

    def hide(self, fault: Fault) -> Fault:
        """Return the fault with the placeholder of every value from outside, and no userinfo."""
        return replace(fault, reason=self._hide(fault.reason), remedy=self._hide(fault.remedy))

    def _hide(self, text: str) -> str:
        for value in sorted(self._values, key=len, reverse=True):
            placeholder = self._values[value]
            words = value.split()  # a fault may tell a line end as a blank
            if len("".join(words)) >= LONG_ENOUGH:
                text = placeholder.join(re.split(r"\s+".join(map(re.escape, words)), text))
            else:
                text = text.replace(f"'{value}'", f"'{placeholder}'")
        return hidden(text)
