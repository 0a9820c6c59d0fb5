"""Run a program as UID 65534 of a user namespace whose only user is the caller.

PostgreSQL refuses to run as root; so it may not be root. Files stay the caller's, nothing is chowned.

    python as_one_user.py PROGRAM ARGUMENTS...
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
NOBODY = 65534


def main() -> None:
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER):
        sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
