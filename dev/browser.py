"""A headless Chromium for the tests of the page, wherever there is one to have.

The one that ``DATAML_CHROMIUM`` names, else the machine's own, else the one that an npm package holds: built for
machines that have nothing, it brings its libraries and a font. Nothing is installed outside the clone.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile

from dev.page import CLONE, PageError, tools

PACKAGE = CLONE / "tests/ui/browser"
_OWN = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_UNPACK = """
const { createReadStream, createWriteStream } = require("node:fs");
const { createBrotliDecompress } = require("node:zlib");
const [, from, to] = process.argv;
createReadStream(from).pipe(createBrotliDecompress()).pipe(createWriteStream(to)).on("error", () => process.exit(1));
"""


class BrowserError(Exception):
    """There is no browser, and none could be had."""


def browser() -> tuple[str, dict[str, str]]:
    """Return a Chromium's path and what its environment needs.

    :raises BrowserError: there is none; with what to do.
    """
    if named := os.environ.get("DATAML_CHROMIUM"):
        return named, {}
    if own := next(filter(None, map(shutil.which, _OWN)), None):
        return own, {}
    try:
        return _packed()
    except (PageError, OSError) as err:
        msg = (
            f"no Chromium was found, and npm did not bring one ({err}): `apt-get install chromium`, "
            "or set DATAML_CHROMIUM to the path of one."
        )
        raise BrowserError(msg) from err


def _packed() -> tuple[str, dict[str, str]]:
    if sys.platform != "linux":
        msg = "the package holds one for Linux alone"
        raise PageError(msg)
    out = PACKAGE / "unpacked"
    program = out / "chromium"
    if not program.exists():
        with tools() as node:
            node.run_npm(PACKAGE, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
            held = PACKAGE / "node_modules/@sparticuz/chromium/bin"
            out.mkdir(exist_ok=True)
            for name in ("al2023.tar", "fonts.tar", "swiftshader.tar", "chromium"):
                node.node("-e", _UNPACK, str(held / f"{name}.br"), str(out / f"{name}.part"))
        for name in ("al2023", "fonts", "swiftshader"):
            with tarfile.open(out / f"{name}.tar.part") as packed:
                packed.extractall(out, filter="data")
            (out / f"{name}.tar.part").unlink()
        (out / "chromium.part").chmod(stat.S_IRWXU)
        # Last, so that what is there is whole.
        (out / "chromium.part").rename(program)
    return str(program), {"LD_LIBRARY_PATH": str(out / "lib"), "FONTCONFIG_PATH": str(out / "fonts")}


if __name__ == "__main__":
    try:
        print(*browser()[:1])
    except BrowserError as err:
        print(err, file=sys.stderr)
        raise SystemExit(1) from None
