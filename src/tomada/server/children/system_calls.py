"""The numbers of the system calls that a child in its sandbox may not make, on the processors that are known.

From ``asm/unistd_64.h`` (x86_64) and ``asm-generic/unistd.h`` (aarch64, which has no calls of the old ways); from 424
on the numbers are the same everywhere.
"""

from __future__ import annotations

from typing import Final

import msgspec

LAST: Final = 462
"""The newest call that is known here: mseal, of Linux 6.10. What is newer is not there for a child."""

_EVERYWHERE: Final = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "openat2": 437,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "memfd_secret": 447,
    "process_mrelease": 448,
    "fchmodat2": 452,
}

_X86_64: Final = {
    "open": 2,
    "shmget": 29,
    "shmat": 30,
    "socket": 41,
    "connect": 42,
    "bind": 49,
    "listen": 50,
    "socketpair": 53,
    "fork": 57,
    "vfork": 58,
    "execve": 59,
    "semget": 64,
    "msgget": 68,
    "truncate": 76,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "creat": 85,
    "link": 86,
    "unlink": 87,
    "symlink": 88,
    "chmod": 90,
    "chown": 92,
    "lchown": 94,
    "ptrace": 101,
    "mknod": 133,
    "uselib": 134,
    "pivot_root": 155,
    "chroot": 161,
    "acct": 163,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "tkill": 200,
    "mq_open": 240,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "inotify_init": 253,
    "openat": 257,
    "mkdirat": 258,
    "mknodat": 259,
    "fchownat": 260,
    "unlinkat": 263,
    "renameat": 264,
    "linkat": 265,
    "symlinkat": 266,
    "fchmodat": 268,
    "unshare": 272,
    "inotify_init1": 294,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "renameat2": 316,
    "memfd_create": 319,
    "kexec_file_load": 320,
    "bpf": 321,
    "execveat": 322,
    "userfaultfd": 323,
}

_AARCH64: Final = {
    "inotify_init1": 26,
    "mknodat": 33,
    "mkdirat": 34,
    "unlinkat": 35,
    "symlinkat": 36,
    "linkat": 37,
    "renameat": 38,
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "truncate": 45,
    "chroot": 51,
    "fchmodat": 53,
    "fchownat": 54,
    "openat": 56,
    "quotactl": 60,
    "acct": 89,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "ptrace": 117,
    "tkill": 130,
    "reboot": 142,
    "mq_open": 180,
    "msgget": 186,
    "semget": 190,
    "shmget": 194,
    "shmat": 196,
    "socket": 198,
    "socketpair": 199,
    "bind": 200,
    "listen": 201,
    "connect": 203,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "execve": 221,
    "swapon": 224,
    "swapoff": 225,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "open_by_handle_at": 265,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "renameat2": 276,
    "memfd_create": 279,
    "bpf": 280,
    "execveat": 281,
    "userfaultfd": 282,
    "kexec_file_load": 294,
}


class Processor(msgspec.Struct, frozen=True, kw_only=True):
    """What a filter must know of a kind of processor."""

    architecture: int
    """AUDIT_ARCH of ``linux/audit.h``."""
    denied: tuple[int, ...]
    own_only: tuple[int, ...]
    """Those that act on the process whose id is their first argument: that must be the child's own."""
    clone: int
    clone3: int = 435
    seccomp: int
    foreign: int
    """From this number on, calls are those of another kind of programs (x32); 0 where there are none."""


def _numbers(own: dict[str, int]) -> tuple[int, ...]:
    return tuple(sorted({**own, **_EVERYWHERE}.values()))


PROCESSORS: Final = {
    "x86_64": Processor(
        architecture=0xC000_003E,
        denied=_numbers(_X86_64),
        own_only=(62, 129, 234, 297, 302),  # kill, rt_sigqueueinfo, tgkill, rt_tgsigqueueinfo, prlimit64
        clone=56,
        seccomp=317,
        foreign=0x4000_0000,
    ),
    "aarch64": Processor(
        architecture=0xC000_00B7,
        denied=_numbers(_AARCH64),
        own_only=(129, 131, 138, 240, 261),  # as above
        clone=220,
        seccomp=277,
        foreign=0,
    ),
}
"""By what ``os.uname().machine`` says."""
