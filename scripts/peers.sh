#!/bin/sh
# nextbest beside LightGBM, XGBoost, CatBoost, scikit-learn, ONNX Runtime and treelite on this machine, in one run; writes
# docs/benchmarks.md. Takes about half an hour on two cores. Quality needs the tables of $NEXTBEST_DATA (default
# ../shared/data).
#
#   scripts/peers.sh [--without telco,bank,coupon,shop,synth]
set -eu
cd "$(dirname "$0")/.."

venv=${XDG_CACHE_HOME:-$HOME/.cache}/nextbest/bench-venv
requirements=tests/benches/peers/requirements.txt
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    echo "installing the peers into $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$requirements"
    # Written last: a cut-off install is started over.
    cp "$requirements" "$venv/requirements.txt"
fi
cargo build --release --locked --workspace --bins
nextbest=${CARGO_TARGET_DIR:-target}/release/nextbest
row=$(cargo bench --locked --workspace --bench row --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p')
work=${CARGO_TARGET_DIR:-target}/peers
rm -rf "$work"

# report COMMAND...: its standard output, to the page and to the terminal.
report() {
    "$@" >"$work/part.md"
    tee -a "$work/page.md" <"$work/part.md"
}
mkdir -p "$work"
{
    echo "# Benchmarks"
    echo
    echo "Written by \`make bench\` (scripts/peers.sh). Machines are shared and noisy: read ratios, not times."
    echo "Peers: $("$venv/bin/pip" freeze | grep -iE '^(lightgbm|xgboost|catboost|scikit-learn|onnxruntime|treelite|tl2cgen)==' | tr '\n' ' ')"
    echo
} >"$work/page.md"
report "$venv/bin/python" -W ignore tests/benches/peers/latency.py "$nextbest" "$row" "$work"
report printf '\n## Layouts: random ensembles of 500 trees\n\n'
report cargo bench --quiet --locked --workspace --bench score
report echo
report "$venv/bin/python" -W ignore tests/benches/peers/quality.py "$nextbest" "$work" "$@"
mv "$work/page.md" docs/benchmarks.md
