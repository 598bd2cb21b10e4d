#!/bin/sh
# Installs the packages of infra/requirements.txt into a virtual environment of the user's cache and prints its bin
# folder. What it installs is said on standard error; nothing is said or done when it is there already.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
requirements=$here/infra/requirements.txt
venv=${XDG_CACHE_HOME:-$HOME/.cache}/nextbest/venv

if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    command -v python3 >/dev/null || { echo "python3 is needed (3.11 or later)" >&2; exit 1; }
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "python3 is $(python3 --version); 3.11 or later is needed" >&2; exit 1; }
    echo "installing into $venv:" >&2
    sed -n 's/^\([A-Za-z].*\)==\(.*\)$/    \1 \2/p' "$requirements" >&2
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv" >&2 || { echo "python3 cannot make virtual environments (Debian: python3-venv)" >&2; exit 1; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" >&2
    # Written last: a cut-off install is started over.
    cp "$requirements" "$venv/requirements.txt"
fi
echo "$venv/bin"
