"""The machine and the versions behind the figures, and the cores that the two processes are pinned to."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "tomada",
    "msgspec",
    "uvloop",
    "pyzmq",
    "grpcio",
    "easynetwork",
    "pyftpdlib",
    "websockets",
    "picows",
)

CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The cores this run may use; empty where the system does not tell, and then nothing is pinned."""

SERVER_CORE: Final = CORES[0] if CORES else None
CLIENT_CORE: Final = CORES[min(1, len(CORES) - 1)] if CORES else None


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _pinning() -> str:
    if not CORES:
        return "not pinned: this system has no sched_setaffinity"
    if SERVER_CORE == CLIENT_CORE:
        return f"server and client share core {SERVER_CORE}, the only one: rates are lower than on two"
    return f"server on core {SERVER_CORE}, client on core {CLIENT_CORE}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def describe() -> dict[str, str]:
    """What a reader needs to judge the figures, by name."""
    return {
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "pinning": _pinning(),
        "load before": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{package: _version(package) for package in PACKAGES},
    }
