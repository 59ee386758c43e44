from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.transports.conftest import Run
from tomada import transports
from tomada.address import Address
from tomada.errors import ListenFailed
from tomada.transports import FileRights, Options, accepting, rights, unix

OWN = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name
NOBODY = "no-such-user"


def mode(path: str) -> int:
    found = unix.look(path)
    assert found is not None
    return stat.S_IMODE(found.st_mode)


def listening(address: Address, options: Options) -> socket.socket:
    return accepting.bound_to_path(address, 1, options.rights)


@pytest.mark.parametrize("wanted", [0o600, 0o660, 0o666, 0o777, 0o000])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_has_the_mode_whatever_the_umask(address: Address, wanted: int, umask: int) -> None:
    before = os.umask(umask)
    try:
        with listening(address, Options(rights=FileRights(mode=wanted))):
            assert mode(address.path) == wanted
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_without_a_mode_it_is_the_umask_s(address: Address) -> None:
    before = os.umask(0o027)
    try:
        with listening(address, Options(rights=FileRights(owner=OWN))):
            assert mode(address.path) == 0o750
    finally:
        os.umask(before)


def test_not_even_for_a_moment_it_has_more_rights(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, bool]] = []

    def noted(name: str) -> Any:
        real = getattr(os, name)

        def call(path: str, *rest: Any, **named: Any) -> None:
            with socket.socket(socket.AF_UNIX) as early:
                seen.append((name, mode(path), early.connect_ex(path) == 0))
            real(path, *rest, **named)

        return call

    monkeypatch.setattr(os, "chmod", noted("chmod"))
    monkeypatch.setattr(os, "chown", noted("chown"))
    before = os.umask(0)
    try:
        with listening(address, Options(rights=FileRights(mode=0o660, owner=f"{OWN}:{GROUP}"))):
            assert mode(address.path) == 0o660
    finally:
        os.umask(before)
    assert seen == [("chown", 0, False), ("chmod", 0, False)]


def test_elsewhere_the_umask_closes_it_meanwhile(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    before = os.umask(0o022)
    try:
        with listening(address, Options(rights=FileRights(mode=0o606))):
            assert mode(address.path) == 0o606
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_other_threads_make_files_as_ever(folder: Path) -> None:
    before = os.umask(0o022)
    stop = threading.Event()
    modes: set[int] = set()

    def make() -> None:
        while not stop.is_set():
            file = folder / "other"
            file.touch()
            modes.add(stat.S_IMODE(file.stat().st_mode))
            file.unlink()

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for number in range(100):
            address = Address("unix", path=str(folder / f"{number}.sock"))
            listening(address, Options(rights=FileRights(mode=0o600))).close()
    finally:
        stop.set()
        thread.join()
        os.umask(before)
    assert modes == {0o644}


@pytest.mark.parametrize(
    ("owner", "numbers"),
    [
        (OWN, (os.getuid(), -1)),
        (f"{OWN}:{GROUP}", (os.getuid(), os.getgid())),
        (f":{GROUP}", (-1, os.getgid())),
        ("12345:54321", (12345, 54321)),
        (f"{OWN}:", (os.getuid(), -1)),
    ],
)
def test_the_owner_by_name_and_by_number(
    address: Address, owner: str, numbers: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda _, user, group, **__: given.append((user, group)))
    with listening(address, Options(rights=FileRights(owner=owner))):
        assert given == [numbers]


@pytest.mark.parametrize(
    ("owner", "text"),
    [
        (NOBODY, f"unix_owner is '{NOBODY}': there is no user '{NOBODY}' on this machine"),
        (f"{OWN}:{NOBODY}", f"there is no group '{NOBODY}' on this machine"),
        ("-1", "there is no user '-1' on this machine"),
    ],
)
def test_an_owner_that_is_not_known_is_told_and_no_file_made(run: Run, address: Address, owner: str, text: str) -> None:
    async def main() -> None:
        with pytest.raises(ListenFailed, match=text) as raised:
            await transports.listen(address, lambda: None, options=Options(rights=FileRights(owner=owner)))  # type: ignore[arg-type, return-value] # never asked
        assert str(raised.value).startswith(f"cannot listen on {address}: ")
        assert unix.look(address.path) is None

    run(main())


@pytest.mark.parametrize("owner", [OWN, ""])
def test_what_the_system_refuses_leaves_no_file(
    run: Run, address: Address, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown" if owner else "chmod", refuse)
    text = f"unix_owner is '{OWN}': only root may give" if owner else "no right to make or replace a file"

    async def main() -> None:
        options = Options(rights=FileRights(owner=owner, mode=0o600))
        with pytest.raises(ListenFailed, match=text):
            await transports.listen(address, lambda: None, options=options)  # type: ignore[arg-type, return-value] # never asked
        assert unix.look(address.path) is None

    run(main())


@pytest.mark.parametrize("wrong", [-1, 0o1000, "660", 4.0, True])
def test_a_mode_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"^unix_mode is {wrong!r}, it must be from 0 to 0o777, such as 0o660$"):
        FileRights(mode=wrong)


class TestAllowedUsers:
    def test_by_name_and_by_number(self, address: Address) -> None:
        assert rights.allowed_users(address, (OWN, 4_000, "4001")) == frozenset({os.getuid(), 4_000, 4_001})
        assert rights.allowed_users(address, ()) is None
        assert rights.allowed_users(Address("tcp", "", 1), (NOBODY,)) is None

    @pytest.mark.parametrize("wrong", [NOBODY, -1, None, True, "²"])
    def test_who_is_not_known_is_told(self, run: Run, address: Address, wrong: Any) -> None:
        async def main() -> None:
            with pytest.raises(ListenFailed, match=f"allow_users is .*: there is no user {wrong!r} on this machine"):
                await transports.listen(address, lambda: None, options=Options(allow_users=(wrong,)))  # type: ignore[arg-type, return-value] # never asked
            assert unix.look(address.path) is None

        run(main())

    def test_a_system_that_does_not_tell_refuses(self, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rights, "IS_TOLD", False)
        with pytest.raises(ListenFailed, match="this system does not tell who connects"):
            rights.allowed_users(address, (OWN,))
