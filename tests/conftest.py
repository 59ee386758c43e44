from __future__ import annotations

import pytest

from tests.authority import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues certificates, and has issued one for localhost."""
    return Authority(tmp_path_factory.mktemp("authority"))
