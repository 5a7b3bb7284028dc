"""Say what this machine lacks to build normexp, before anything is installed: ``python3 tools/preflight.py``.

Written for Python 3.6 and newer, so that one that is too old can say so.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator

OLDEST = (3, 11)
COMPILERS = ("c++", "g++", "clang++")
CXX20 = "#include <concepts>\ntemplate <std::integral T> T same(T x) { return x; }\nint main() { return same(0); }\n"


def problems() -> "Iterator[str]":
    """Yield one line for each thing that is missing, with its remedy."""
    if sys.version_info < OLDEST:
        needed, given = (".".join(map(str, version[:2])) for version in (OLDEST, sys.version_info))
        yield f"Python {needed} or newer is needed, and {sys.executable} is {given}; name another: make PYTHON=..."
        return
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        yield f"{sys.executable} cannot make virtual environments (Debian, Ubuntu: apt-get install python3-venv)"
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if not os.path.exists(header):
        yield f"{header} is missing (Debian, Ubuntu: apt-get install python3-dev; Fedora: dnf install python3-devel)"
    chosen = os.environ.get("CXX")
    candidates = [shlex.split(chosen)] if chosen else [[name] for name in COMPILERS if shutil.which(name)]
    if not any(compiles(command) for command in candidates):
        tried = chosen or ", ".join(COMPILERS)
        yield f"no C++20 compiler: tried {tried} (Debian, Ubuntu: apt-get install g++; or set CXX)"


def compiles(command: "list[str]") -> bool:
    """Whether this command compiles C++20."""
    try:
        done = subprocess.run(
            [*command, "-std=c++20", "-fsyntax-only", "-x", "c++", "-"],
            input=CXX20.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    found = list(problems())
    for line in found:
        print(f"normexp cannot be built here: {line}", file=sys.stderr)
    sys.exit(1 if found else 0)
