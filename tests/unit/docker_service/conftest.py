"""The service of a workspace on a Docker host, with an Engine in memory."""

import pytest
from tests.docker_engine import LISTENS, Engine, Host, Keeper

from inference_provider.targets.docker.ruled_router import RuledRouter


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def keeper(engine):
    return Keeper(Host(engine))


@pytest.fixture
def router(keeper):
    made = RuledRouter(keeper._host, keeper.records, lambda: None, keeper)
    with keeper.records.edit():
        made.save(LISTENS)
    return made


@pytest.fixture
def networks(engine, router):
    """Say in which networks it is, after a publication."""

    def networks():
        router.publish(())
        return [one["HostConfig"]["NetworkMode"] for one in engine.there.values()]

    return networks
