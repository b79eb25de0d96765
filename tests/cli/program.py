"""Starts the program under test; shared by the tests of this folder."""
import os
import subprocess
import tempfile

PROGRAM = os.environ.pop("MINIMAX_PROGRAM")
TESTDATA = os.environ.pop("MINIMAX_TESTDATA")
# Seconds until a test gives up on what must come. Nothing measures how fast the program is: a busy machine may take long.
PATIENCE = 1200
# A home of its own: the settings and history of whoever runs the tests are not read or written.
HOME = tempfile.TemporaryDirectory(prefix="minimax_home_")


def environment(**more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MINIMAX_", "XDG_", "LC_"))}
    return {**clean, "HOME": HOME.name, "LANG": "C", "TERM": "dumb", **more}


def run(*words, stdin="", env=None):
    """Runs `minimax WORDS...`; returns the finished process with text stdout and stderr."""
    return subprocess.run([PROGRAM, *words], input=stdin.encode() if isinstance(stdin, str) else stdin,
                          capture_output=True, env=environment(**(env or {})), timeout=PATIENCE, check=False)


def golden(name):
    return os.path.join(TESTDATA, "golden", name)
