"""The test run itself: what is marked to be run by one process is."""

import pytest


@pytest.mark.xdist_group("heeded")
def test_groups_are_heeded(request):
    """Or every process makes anew what only one should: a pytest that pytest-xdist does not know says nothing of it."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("tests are not given to processes by their groups: without -n and --dist loadgroup there are none")
    assert request.node.nodeid.endswith("@heeded")
