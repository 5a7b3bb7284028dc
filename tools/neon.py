"""Compile the engine for AArch64 and, under QEMU, hold the bits of its results to this machine's: ``make neon``.

Both sides print a digest for each kind of call (tests/neon/battery.cpp): this machine at each of its CPU levels, from
the objects that the package was built of, and the emulated one at its only level.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "build" / "engine"  # where the Makefile builds the package
CROSS = ROOT / "build" / "neon"
COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
PACKAGES = {COMPILER: "g++-aarch64-linux-gnu", EMULATOR: "qemu-user"}
SCRIPTS = Path(sys.executable).parent  # cmake and ninja are installed beside Python


def missing() -> list[str]:
    """Return a line for each program that is not there, with the package that has it."""
    return [
        f"{program} is not installed (Debian, Ubuntu: apt-get install {package})"
        for program, package in PACKAGES.items()
        if shutil.which(program) is None
    ]


def cross_compile() -> Path:
    """Compile the battery for AArch64, statically, so that it runs without that machine's libraries."""
    target = {
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_CXX_COMPILER": COMPILER,
        "CMAKE_EXE_LINKER_FLAGS": "-static",
        "CMAKE_MAKE_PROGRAM": str(SCRIPTS / "ninja"),
        "NORMEXP_PYTHON": "OFF",
    }
    options = [f"-D{name}={value}" for name, value in target.items()]
    call(str(SCRIPTS / "cmake"), "-S", str(ROOT), "-B", str(CROSS), "-G", "Ninja", *options)
    return build(CROSS)


def build(directory: Path) -> Path:
    """Build the battery in a configured directory."""
    call(str(SCRIPTS / "cmake"), "--build", str(directory), "--target", "battery")
    return directory / "battery"


def call(*command: str, level: str = "") -> str:
    """Run a command and return what it prints; if it fails, show that and give up."""
    done = subprocess.run(command, env={**os.environ, "NORMEXP_CPU": level}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}\nfailed with exit code {done.returncode}")
    return done.stdout


def digests(printed: str) -> dict[str, str]:
    """Return the digest of each kind of call."""
    return dict(line.rsplit(" ", 1) for line in printed.splitlines())


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return the kinds of call whose bits differ, or that only one of the two has."""
    return sorted(kind for kind in one.keys() | other.keys() if one.get(kind) != other.get(kind))


def main() -> int:
    """Compile, run, compare; return the exit status."""
    lacking = missing()
    if shutil.which(COMPILER) is None:
        print("\n".join(lacking), file=sys.stderr)
        return 2
    cross = cross_compile()
    print(f"{COMPILER}: the engine compiles")
    if lacking:
        print(*lacking, "it was not run", sep="\n", file=sys.stderr)
        return 2
    emulated = digests(call(EMULATOR, str(cross)))
    native = build(NATIVE)
    failed = False
    for level in call(str(native), "--levels").split():
        different = differences(digests(call(str(native), level=level)), emulated)
        print(f"neon and {level}: " + (f"different bits in {', '.join(different)}" if different else "the same bits"))
        failed |= bool(different)
    print(f"{len(emulated)} kinds of call compared")
    return int(failed or not emulated)


if __name__ == "__main__":
    sys.exit(main())
