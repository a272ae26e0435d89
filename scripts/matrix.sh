#!/usr/bin/env bash
# Runs the tests on every supported Python that this machine has; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

# Prints an interpreter of version $1. A pyenv shim exists even where its version is not switched on, so each is tried.
find_python() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

ran=0 failed=()
for version in 3.11 3.12 3.13; do
    if ! python=$(find_python "$version"); then
        echo "== Python $version: not found, skipped"
        continue
    fi
    echo "== Python $version: $python"
    ran=$((ran + 1))
    make --no-print-directory VENV=".venv-$version" PYTHON="$python" ARGS="$*" test || failed+=("$version")
done

if ((ran == 0)); then
    echo "no supported Python was found" >&2
    exit 1
fi
if ((${#failed[@]})); then
    echo "failed on Python ${failed[*]}" >&2
    exit 1
fi
