"""Runs a command as a container would: `python contained.py COMMAND [ARGUMENT ...]`.

When the process of COMMAND ends, however it ends, everything else in its process group is killed. vLLM is
several processes, and those of its engine outlive a SIGKILL of the one that serves HTTP. Expects to be the
leader of its process group.
"""

import os
import signal
import sys


def main(command: list[str]) -> None:
    """Becomes the command, and leaves a process behind that waits for its end."""
    ours, its = os.pipe()
    if os.fork() == 0:
        os.close(its)
        os.read(ours, 1)  # the end of the pipe: only the command's process had the other one
        os.killpg(0, signal.SIGKILL)
    os.close(ours)
    os.set_inheritable(its, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
