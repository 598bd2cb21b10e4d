#!/bin/sh
# nextbest beside LightGBM, XGBoost, CatBoost, scikit-learn, ONNX Runtime and treelite on this machine, and its decisions
# beside the same service in Python and in the simulated shop, in one run; writes docs/benchmarks.md. Takes about three quarters of an hour on two
# quiet cores. What needs the tables of $NEXTBEST_DATA (default ../shared/data) is left out, and named, where they are
# not there.
#
# --resume goes on with a run that was cut off, behind the last part that it finished.
#
#   scripts/peers.sh [--resume] [--without latency,layouts,decide,price,value,lifetime,http,telco,bank,coupon,shop,synth,retail,uplift,loop]
set -eu
cd "$(dirname "$0")/.."

without=
resume=
while [ $# -gt 0 ]; do
    case $1 in
    --resume) resume=1 ;;
    --without)
        without=${2:?--without: which parts?}
        shift
        ;;
    *)
        sed -n 's/^#   //p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
# with PART: whether it is to be run.
with() {
    case ",$without,$done_before," in *",$1,"*) return 1 ;; esac
}

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
# built BENCH: where it stands.
built() {
    cargo bench --locked --workspace --bench "$1" --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p'
}
row=$(built row)
work=${CARGO_TARGET_DIR:-target}/peers
if [ -z "$resume" ] || [ ! -f "$work/page.md" ]; then
    resume=
    rm -rf "$work"
fi
mkdir -p "$work"
touch "$work/done"
done_before=$(paste -sd, "$work/done")

# report COMMAND...: its standard output, to the page and to the terminal, but for what a peer's compiler logs there.
report() {
    "$@" >"$work/told.md"
    sed '/^\[[0-9:]*\] /d' "$work/told.md" >"$work/part.md"
    tee -a "$work/page.md" <"$work/part.md"
}
peers=$("$venv/bin/pip" freeze |
    sed -n -E 's/^(boto3|catboost|fastapi|lifetimes|lightgbm|onnxruntime|scikit-learn|tl2cgen|treelite|uvicorn|xgboost)==/\1 /p' |
    paste -sd, | sed 's/,/, /g')
[ -n "$resume" ] || cat >"$work/page.md" <<EOF
# Benchmarks

Written by \`make bench\` (scripts/peers.sh, tests/benches/peers) in one run on $(nproc) cores of a shared machine: read
ratios, not times (a run that is cut off goes on behind its last finished part). Peers: $peers.
The parts on decisions, quality and calibration end with their verdict against the target. nextbest's own settings were
chosen while looking at telco, bank, coupon and synth; how many trees, which configuration, which weights and which
candidate is settled anew on each table, inside the folds that are fitted on.
${without:+
Left out of this run: $without.
}
EOF
if with latency; then
    report "$venv/bin/python" -W ignore tests/benches/peers/latency.py "$nextbest" "$row" "$work"
    echo latency >>"$work/done"
fi
if with layouts; then
    report printf '\n## Layouts: random ensembles of 500 trees\n\n'
    report cargo bench --quiet --locked --workspace --bench score
    echo layouts >>"$work/done"
fi
if with decide; then
    report printf '\n## A decision in process\n\n'
    report cargo bench --quiet --locked --workspace --bench decide
    echo decide >>"$work/done"
fi
if with price; then
    report printf '\n## A price in process\n\n'
    report cargo bench --quiet --locked --workspace --bench price
    echo price >>"$work/done"
fi
if with value; then
    report printf '\n## A lifetime value in process\n\n'
    report cargo bench --quiet --locked --workspace --bench value
    echo value >>"$work/done"
fi
if with lifetime; then
    report echo
    report "$venv/bin/python" -W ignore tests/benches/peers/lifetime.py "$nextbest"
    echo lifetime >>"$work/done"
fi
if with http; then
    rm -rf "$work/http"
    report echo
    report "$(built decisions_http)" --bench "$venv/bin/python" "$nextbest" "$work/http"
    echo http >>"$work/done"
fi
if with quality; then
    report echo
    report "$venv/bin/python" -W ignore tests/benches/peers/quality.py "$nextbest" "$work" ${without:+--without "$without"}
    echo quality >>"$work/done"
fi
if with uplift; then
    report echo
    report "$venv/bin/python" -W ignore tests/benches/peers/uplift.py "$nextbest" "$work"
    echo uplift >>"$work/done"
fi
if with loop; then
    report echo
    report "$(built closed_loop)" --bench
    report echo
    report "$(built price_loop)" --bench
    report echo
    report "$(built at_risk_loop)" --bench
fi
mv "$work/page.md" docs/benchmarks.md
