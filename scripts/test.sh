#!/bin/sh
# Everything that must hold, in the order that fails soonest: format, clippy, template lint, the Rust tests, then the
# packages built as users build them and deployed on loopback. Goes on after a failure, ends with the sums, and
# exits non-zero when anything failed.
set -u
cd "$(dirname "$0")/.."

log=$(mktemp)
summary=$(mktemp)
trap 'rm -f "$log" "$summary"' EXIT
# The tests must not see a developer's AWS account.
unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_ENDPOINT_URL

# step NAME COMMAND...: one test when the command itself prints no counts, else its counts.
step() {
    name=$1
    shift
    began=$(date +%s)
    printf '\n== %s: %s\n' "$name" "$*"
    { "$@" 2>&1; echo $? >"$summary.rc"; } | tee "$log"
    rc=$(cat "$summary.rc")
    rm -f "$summary.rc"
    counts=$(awk '
        /^test result: / { for (i = 2; i <= NF; i++) { if ($i == "passed;") p += $(i-1); if ($i == "failed;") f += $(i-1); if ($i == "ignored;") g += $(i-1) } seen = 1 }
        END { if (seen) print p + 0, f + 0, g + 0 }' "$log")
    if [ -z "$counts" ]; then
        if [ "$rc" -eq 0 ]; then counts="1 0 0"; else counts="0 1 0"; fi
    elif [ "$rc" -ne 0 ]; then
        # It did not compile, or a process died without counting.
        counts=$(echo "$counts" | awk '{ if ($2 == 0) $2 = 1; print }')
    fi
    echo "$counts $(($(date +%s) - began)) $name" >>"$summary"
}

if ! tools=$(scripts/python-tools.sh); then
    echo "0 passed, 1 failed"
    exit 1
fi
PATH=$tools:$PATH
export PATH

step format cargo fmt --all --check
step template cfn-lint --non-zero-exit-code informational infra/template.yaml
step clippy cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
# One build for the binaries and the tests: the same features, so nothing is compiled twice.
step build cargo build --locked --workspace --all-targets --quiet
step tests cargo test --locked --workspace --no-fail-fast --quiet
step deploy python3 infra/test_deploy.py

echo
awk '{ p += $1; f += $2; g += $3; printf "%6d passed %4d failed %4d ignored %5d s  %s\n", $1, $2, $3, $4, $5 }
    END { printf "%d passed, %d failed, %d ignored\n", p, f, g; exit f > 0 }' "$summary"
