"""A fake cluster, and a kubeconfig that leads to it."""

import pytest
import yaml

from lastcall_operator.testing import FakeCluster


@pytest.fixture
async def cluster():
    """The API server."""
    async with FakeCluster() as found:
        yield found


@pytest.fixture
def kubeconfig(cluster, tmp_path):
    """Its kubeconfig's path."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "fake", "cluster": {"server": cluster.url}}],
                "users": [{"name": "nobody", "user": {}}],
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "nobody"}}],
                "current-context": "fake",
            }
        )
    )
    return str(path)
