#!/bin/sh
# Builds the Lambda packages as infra/template.yaml expects them: target/lambda/<function>/bootstrap.zip, each with
# the binary and project/ (the four toml files and the artifact in use).
#
#   scripts/package.sh PROJECT [--arm64|--x86-64] [--profile deploy|release]
#
# The default is arm64 and `deploy`, the small and fast one (fat LTO); `release` links in seconds.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
project=$(cd "$1" && pwd)
shift
arch=--arm64
profile=deploy
while [ $# -gt 0 ]; do
    case $1 in
        --arm64 | --x86-64) arch=$1 ;;
        --profile) profile=$2; shift ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift
done

[ -f "$project/artifacts/CURRENT" ] || {
    echo "$project/artifacts/CURRENT is missing: train first (nextbest train --project $project)" >&2; exit 1; }
artifact=$(cat "$project/artifacts/CURRENT")

# Only what the functions read: event logs and reports stay at home. --include keeps the path it is given, so the
# build runs in the folder that holds project/.
stage=$here/target/package
rm -rf "$stage" "$here/target/lambda"
mkdir -p "$stage/project/artifacts"
for file in nextbest.toml features.toml policy.toml pricing.toml artifacts/CURRENT "artifacts/$artifact"; do
    cp "$project/$file" "$stage/project/$file"
done
# Lambda runs as a user of its own; a file only its owner may read would not open there.
chmod -R a+rX "$stage/project"

PATH=$("$here/scripts/python-tools.sh"):$PATH
export PATH
# cargo-lambda looks for the target through rustup, which may be absent or offline; cargo itself names what is missing.
cd "$stage"
set -- --manifest-path "$here/Cargo.toml" --locked --package nextbest-functions --bins --profile "$profile" \
    "$arch" --skip-target-check --output-format zip --lambda-dir "$here/target/lambda" --include project
# cargo-lambda sets panic=abort and LTO for release unless told not to; the profiles are Cargo.toml's business.
cargo lambda build "$@" --disable-optimizations
