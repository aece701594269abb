"""A dynamic resource that does nothing: what Pulumi itself costs."""

from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


class NothingProvider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("nothing", props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)


class Nothing(Resource):
    def __init__(self, name: str) -> None:
        super().__init__(NothingProvider(), name, {"workspace": "bench", "name": name})
