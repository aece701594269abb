"""Credentials that are environment variables of whoever runs the command."""

from collections.abc import Mapping

from inference_provider.errors import SecretNotRead


class EnvironmentSecrets:
    """Reads variables of a process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def values(self, places: Mapping[str, str]) -> dict[str, str]:
        """Return the variable of each credential. Raises SecretNotRead, which names all unset."""
        unset = sorted({place for place in places.values() if not self._variables.get(place)})
        if unset:
            noun, verb = ("variable", "is") if len(unset) == 1 else ("variables", "are")
            reason = f"environment {noun} {', '.join(unset)} {verb} not set"
            remedy = "set what the connection names where you run this"
            raise SecretNotRead(reason, remedy, silent=True)  # somebody else may have it
        return {name: self._variables[place] for name, place in places.items()}
