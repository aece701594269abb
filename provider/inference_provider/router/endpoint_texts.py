"""A text for each endpoint of a table, rendered again only when its entry changes. Pure."""

from collections.abc import Callable

from inference_provider.router.table import EndpointEntry, RouterTable


class EndpointTexts:
    """Caches one kind of text for all endpoints.

    Args:
        make: Renders the text of one endpoint; equal entries must give equal texts.
    """

    def __init__(self, make: Callable[[EndpointEntry], str]) -> None:
        self._make = make
        self._known: dict[str, tuple[EndpointEntry, str]] = {}

    def of(self, table: RouterTable) -> list[str]:
        """Return the texts in the table's order; forget those of removed endpoints."""
        self._known = {one.name: self._text(one) for one in table.endpoints}
        return [text for _, text in self._known.values()]

    def _text(self, endpoint: EndpointEntry) -> tuple[EndpointEntry, str]:
        known = self._known.get(endpoint.name)
        if known and known[0] is endpoint:
            return known
        if known and known[0] == endpoint:
            return endpoint, known[1]
        return endpoint, self._make(endpoint)
