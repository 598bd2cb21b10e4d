# The whole set-up behind each word. Needs Rust and a C compiler; `test` and `package` install Python packages into
# the user's cache and say so.
PROJECT ?= examples/shop
ARCH ?= arm64

.PHONY: demo test bench package deploy audit

# Simulate a shop, train, load, serve on loopback, print the three answers.
demo:
	cargo run --release --locked --package nextbest-cli -- demo

# Format, lints, every test, and the template deployed on loopback.
test:
	@scripts/test.sh

# What the loop costs, on the functions packed as they are shipped (some minutes: fat LTO); then quality and speed beside
# other libraries, which it installs into the user's cache (half an hour), written to docs/benchmarks.md.
bench:
	cargo run --release --locked --package nextbest-cli -- demo --once --port 0
	scripts/package.sh examples/shop --x86-64
	cargo bench --locked --package nextbest-tests --bench loop
	scripts/peers.sh

# Lambda packages in target/lambda: make package PROJECT=my-shop ARCH=x86-64
package:
	scripts/package.sh $(PROJECT) --$(ARCH)

# Into your AWS account, with the AWS SAM command line: infra/README.md.
deploy: package
	sam deploy --guided --template-file infra/template.yaml --stack-name nextbest \
		--capabilities CAPABILITY_IAM --parameter-overrides Architecture=$(subst x86-64,x86_64,$(ARCH))

# Licences, duplicate and banned crates, sources, advisories (installs cargo-deny when absent: some minutes).
audit:
	command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
	cargo deny check
