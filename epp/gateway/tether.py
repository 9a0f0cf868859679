"""Runs a command that cannot outlive the process that asked for it, however that process ends.

    python tether.py PARENT-PID COMMAND [ARGUMENT ...]

On Linux the kernel is asked to send SIGKILL when the parent is gone; then COMMAND replaces this process, and
the request stands. A program of its own, and not a `preexec_fn`: Python cannot promise that code between fork
and exec is safe in a process with threads. Imports nothing of `epp`, so that it starts at once.
"""

import ctypes
import os
import signal
import sys

# linux/prctl.h
PR_SET_PDEATHSIG = 1

# What shells answer for a command that cannot be run.
CANNOT_RUN = 127


def main(argv: list[str]) -> int:
    """Replaces this process by the command; returns an exit code only where that fails."""
    parent, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we asked
        return CANNOT_RUN
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
    return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
