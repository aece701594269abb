"""The service of a workspace on a Docker host, with an Engine in memory."""

import pytest
from tests.docker_engine import LISTENS, Engine, Host, Keeper

from inference_provider.targets.docker.ruled_router import RuledRouter
from inference_provider.targets.docker.web import Web


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def keeper(engine):
    return Keeper(Host(engine))


@pytest.fixture
def router(keeper):
    web = Web(keeper._host, keeper.records, lambda: None)
    made = RuledRouter(keeper._host, keeper.records, lambda: None, keeper, web)
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
