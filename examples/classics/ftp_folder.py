"""The folder that an FTP client sees: nothing outside it, whatever the names and the symbolic links in it say.

No sockets here: `ftp_server.py` speaks the protocol. All of this waits for the disk, and runs in threads.
"""

import posixpath
import stat
import time
from pathlib import Path


class Refused(Exception):
    """The command is answered with an error."""


class Folder:
    """One client's view of `root`: where in it the client is, and what it is about to rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.current = "/"
        self.renamed: Path | None = None

    def place(self, name: str) -> str:
        """What the client means by `name`, seen from the root."""
        return posixpath.normpath(posixpath.join(self.current, name)).replace("//", "/")

    def path(self, name: str, *, links: bool = True) -> Path:
        """Where that is, symbolic links followed, the last one if `links`. Raises `Refused` where it is outside."""
        folder, last = posixpath.split(self.place(name))
        path = (self.root / folder[1:] / last).resolve() if links else (self.root / folder[1:]).resolve() / last
        if not path.is_relative_to(self.root) or (not links and not last):
            raise Refused("550 there is no such file")
        return path

    def file(self, name: str) -> Path:
        """The same, where nothing is yet, or a file."""
        path = self.path(name)
        if path.exists() and not path.is_file():
            raise Refused("550 that is no file")
        return path

    def listing(self, verb: str, name: str) -> str:
        """A line for each file in a folder."""
        path = self.path(name)
        path.lstat()
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
        return "".join(f"{described(verb, each)}\r\n" for each in paths if each.name.isprintable())

    def look(self, verb: str, name: str) -> str:
        """Commands that ask about files and folders."""
        match verb:
            case "PWD":
                return '257 "' + self.current.replace('"', '""') + '"'
            case "SIZE":
                return f"213 {self.file(name).stat().st_size}"
            case "MDTM":
                return f"213 {utc(self.path(name).stat().st_mtime)}"
            case "CWD" | "CDUP":
                place = self.place(".." if verb == "CDUP" else name)
                if not self.path(place).is_dir():
                    raise Refused("550 there is no such folder")
                self.current = place
                return "250 done"
        raise Refused("502 there is no such command")

    def change(self, verb: str, name: str) -> str:
        """Commands that change folders."""
        path = self.path(name, links=False)
        if verb == "RNFR":
            self.renamed = path
            return "350 and the new name?"
        if verb == "RNTO":
            if self.renamed is None:
                raise Refused("503 say RNFR first")
            self.renamed.rename(path)
            self.renamed = None
        elif verb == "MKD":
            path.mkdir()
            return '257 "' + self.place(name).replace('"', '""') + '"'
        else:
            path.unlink() if verb == "DELE" else path.rmdir()
        return "250 done"


def utc(moment: float) -> str:
    """A time as FTP writes it."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(moment))


def described(verb: str, path: Path) -> str:
    """A file's line: as of ``ls -l``, as of ``ls``, or for programs (RFC 3659, section 7)."""
    if verb == "NLST":
        return path.name
    status = path.lstat()
    if verb == "MLSD":
        kind = "dir" if stat.S_ISDIR(status.st_mode) else "file"
        return f"type={kind};size={status.st_size};modify={utc(status.st_mtime)}; {path.name}"
    when = time.strftime("%b %d  %Y", time.gmtime(status.st_mtime))
    return f"{stat.filemode(status.st_mode)} {status.st_nlink:3} ftp ftp {status.st_size:12} {when} {path.name}"
