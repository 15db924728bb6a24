"""Fixtures of the HTTP tests. A failing test shows the ends of the logs of the instances it used."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from instance import Instance  # noqa: E402
from webhooks import OPEN, Hooks, without_schedule  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "own_objects: how objects are kept on our own disk; not for other stores")


@pytest.fixture(scope="session")
def shared_gate():
    instance = Instance().start()
    yield instance
    instance.stop()


@pytest.fixture
def gate(shared_gate, request):
    """An instance shared by the tests of this process: leave it running and use names of your own (unique())."""
    request.node.instances = [shared_gate]
    return shared_gate


@pytest.fixture(scope="module")
def module_instances():
    made = {}
    yield made
    for instance in made.values():
        instance.stop()


@pytest.fixture
def own_instance(module_instances, request):
    """own_instance(server__processes=1): the instance with these options that the tests of one file share, started when first asked for."""
    used = request.node.instances = list(getattr(request.node, "instances", []))

    def give(**options):
        key = tuple(sorted(options.items()))
        if key not in module_instances:
            module_instances[key] = Instance(**options).start()
        used.append(module_instances[key])
        return module_instances[key]
    return give


@pytest.fixture
def make_gate(request):
    """Instances of one test's own, with options: make_gate(rate="5r/s", server__processes=1)."""
    made = request.node.instances = []

    def make(**options):
        made.append(Instance(**options))
        return made[-1].start()
    yield make
    for instance in made:
        instance.stop()


@pytest.fixture
def fresh_gate(make_gate):
    """An instance of one test's own, to be killed and restarted."""
    return make_gate()


@pytest.fixture(scope="session")
def shared_hook_gate():
    """
    An instance that may send to receivers of its own machine, with a schedule of seconds. The job that sends is not started every
    minute here: it must be there because somebody has seen to it.
    """
    instance = Instance(**OPEN)
    instance.options["webhooks__ca_file"] = instance.path("cert.pem")
    instance.start()
    without_schedule(instance)
    yield instance
    instance.stop()


@pytest.fixture
def hooks(shared_hook_gate, request):
    """A space of one test on that instance; its receivers are stopped at the end."""
    request.node.instances = [shared_hook_gate]
    space = Hooks(shared_hook_gate)
    yield space
    space.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for instance in getattr(item, "instances", []):
            report.sections.append(("logs of the instance", instance.logs()))
