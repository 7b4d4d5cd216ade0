"""What holds for all tests that pytest runs."""
from daemons import die_with_parent


def pytest_configure(config):
    """A worker of pytest-xdist ends with who has started it, at once."""
    if hasattr(config, "workerinput"):
        die_with_parent()
