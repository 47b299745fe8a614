# Sourced by dev/demo and dev/check: brings .venv to what pyproject.toml and the constraints say.
#
#   bootstrap demo|dev      installs the extra of that name; afterwards $PYTHON is the interpreter
#
# shellcheck shell=bash

CLONE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PYTHON=$CLONE/.venv/bin/python

# With it set Python compiles everything anew in every process; Airflow has many.
unset PYTHONDONTWRITEBYTECODE
# pip's look for a newer pip would write below HOME.
export PIP_DISABLE_PIP_VERSION_CHECK=1

_find_python() {
    local candidate
    for candidate in "${DATAML_PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one, or set DATAML_PYTHON to its path." >&2
    return 1
}

_wanted() {
    # The clone's path is part of it: a virtual environment does not survive being moved.
    "$1" - "$CLONE" <<'PYTHON'
import hashlib, pathlib, sys
clone = pathlib.Path(sys.argv[1])
text = b"\0".join((clone / name).read_bytes() for name in ("pyproject.toml", "constraints/constraints.txt"))
print(hashlib.sha256(text + str((clone, sys.version_info[:2])).encode()).hexdigest())
PYTHON
}

bootstrap() {
    local extra=$1 python wanted stamps=$CLONE/.venv/.dataml
    if [ -x "$PYTHON" ] && wanted=$(_wanted "$PYTHON") && [ "$(cat "$stamps/$extra" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    python=$(_find_python) || return 1
    if ! "$PYTHON" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "Making the virtual environment .venv with $("$python" --version)"
        "$python" -m venv --clear "$CLONE/.venv" || {
            echo "venv failed: on Debian and Ubuntu install the package python3-venv." >&2
            return 1
        }
    fi
    echo "Installing airflow-dataml[$extra] into .venv; the first time this takes some minutes"
    rm -rf "$stamps"
    local cache=()
    # Nothing is written outside the clone unless the caller has named a place for it.
    if [ -z "${PIP_CACHE_DIR:-}" ]; then cache=(--no-cache-dir); fi
    "$PYTHON" -m pip install --disable-pip-version-check ${cache[@]+"${cache[@]}"} \
        -c "$CLONE/constraints/constraints.txt" -e "$CLONE[$extra]" || return 1
    wanted=$(_wanted "$PYTHON")
    mkdir -p "$stamps"
    printf '%s\n' "$wanted" > "$stamps/$extra"
    # Who has the tools has the demo.
    if [ "$extra" = dev ]; then printf '%s\n' "$wanted" > "$stamps/demo"; fi
}
