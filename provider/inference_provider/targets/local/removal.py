"""One recorded resource -> gone: from the router first, then its processes and files.

Who may delete it, and the journal, are `target.py`'s.
"""

from inference_provider.observed import Kind, Record, ResourceId
from inference_provider.spec import DeploymentSpec
from inference_provider.targets.base import refuse_what_holds, still_serving
from inference_provider.targets.local import assets
from inference_provider.targets.local.rollout import Rollout
from inference_provider.targets.local.runtime import Runtime


class Removal:
    """Takes things out of one workspace."""

    def __init__(self, runtime: Runtime, rollout: Rollout) -> None:
        self._runtime = runtime
        self._store = runtime.store
        self._rollout = rollout

    def run(self, record: Record) -> None:
        """Delete what a record speaks of.

        Raises:
            StillHolds: Something is in it or behind it.
            StillServing: The deployment carries weight.
        """
        {
            Kind.WORKSPACE: self._workspace,
            Kind.MODEL: self._model,
            Kind.ENVIRONMENT: self._plain,
            Kind.ENDPOINT: self._endpoint,
            Kind.DEPLOYMENT: self._deployment,
            Kind.TRAFFIC: self._served,
        }[record.id.kind](record)

    def _ensure_up_if_it_runs(self) -> None:
        """See that the router can be told; what is deleted while nothing runs starts nothing."""
        if self._runtime.runs():
            self._runtime.ensure_up()

    def _workspace(self, record: Record) -> None:
        refuse_what_holds(record.id, self._store.records())
        self._runtime.shut_down()
        self._store.remove()

    def _model(self, record: Record) -> None:
        fields = record.properties
        assets.drop_model(self._store, fields["name"], fields["version"])
        self._store.drop_record(record.id)

    def _plain(self, record: Record) -> None:
        self._store.drop_record(record.id)

    def _served(self, record: Record) -> None:
        """Forget something the router serves; undone when the router refuses."""
        self._ensure_up_if_it_runs()
        with self._store.lock(), self._store.without_record(record.id):
            self._runtime.withdraw()

    def _endpoint(self, record: Record) -> None:
        refuse_what_holds(record.id, self._store.records())
        self._served(record)
        self._store.drop_keys(record.id.name)

    def _deployment(self, record: Record) -> None:
        endpoint, _, name = record.id.name.partition("/")
        traffic = self._store.record(
            ResourceId(kind=Kind.TRAFFIC, workspace=record.id.workspace, name=endpoint)
        )
        weight = traffic.properties["traffic"].get(name, 0) if traffic else 0
        if weight:
            raise still_serving(record.id, weight)
        self._ensure_up_if_it_runs()
        blueprint = self._store.blueprint(record.id.name)
        spec = DeploymentSpec.model_validate(blueprint)
        self._rollout.retire_all(record.id, spec)
        self._store.forget_deployment(record.id.name)
