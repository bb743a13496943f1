# `make demo` shows what kvx does; `make help` lists the rest.

all: ## build kvx-in, kvx-out and kvx, for use, in target/release
	cargo build --release --locked

demo: ## a file through a real Consul, from upload to reload, in seconds
	@tests/tools/demo

test: ## all tests, on a real Consul ($CONSUL, that on PATH, or one it gets)
	@tests/tools/need strace
	CONSUL=$$(tests/tools/get-consul) && export CONSUL && cargo test --locked

lint: ## formatting and clippy
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings

clean: ## remove what was built
	cargo clean

help: ## this
	@sed -n 's/^\([a-z]*\): ## /make \1	/p' Makefile

.PHONY: all demo test lint clean help
