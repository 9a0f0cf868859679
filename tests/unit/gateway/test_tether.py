import os
import subprocess
import sys

from epp.gateway import tether

# A parent that tethers a child, says the child's process id, and waits.
PARENT = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, {tether.__file__!r}, str(os.getpid()), "sleep", "600"])
print(child.pid, flush=True)
child.wait()
"""


def run(*argv):
    return subprocess.run(
        [sys.executable, tether.__file__, *argv], capture_output=True, text=True, check=False
    )


def test_the_command_takes_its_place():
    done = run(str(os.getpid()), "sh", "-c", "echo $0 $1; exit 7", "one", "two words")
    assert (done.stdout, done.returncode) == ("one two words\n", 7)


def test_the_command_dies_when_its_parent_is_killed(gone):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    gone(child)


def test_nothing_runs_for_a_parent_that_is_gone_already():
    done = run("1", "echo", "too late")
    assert (done.stdout, done.returncode) == ("", tether.CANNOT_RUN)


def test_a_command_that_cannot_be_run():
    done = run(str(os.getpid()), "/no/such/command")
    assert done.stderr == "cannot run /no/such/command: No such file or directory\n"
    assert done.returncode == tether.CANNOT_RUN


def test_a_command_notices_a_closed_pipe():
    # Python ignores SIGPIPE; `yes` would complain about a failed write instead of ending quietly.
    command = f"{sys.executable} {tether.__file__} $$ yes | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("y\n", "")
