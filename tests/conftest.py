from __future__ import annotations

import gc
import signal

import pytest

from tests.authority import Authority
from tomada.telemetry import log


def pytest_configure() -> None:
    """Programs that tests start heed Ctrl-C, also where the shell that started these in the background does not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Many tests collect garbage: that must not look through all that thousands of tests are made of, each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues certificates, and has issued one for localhost."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def _log_tells_all() -> None:
    """What one test did is no reason to be brief about the next one."""
    log._throttle.clear()
