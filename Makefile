# `make demo` shows what kvx does; `make help` lists the rest.

all: ## build kvx-in, kvx-out and kvx, for use, in target/release
	cargo build --release --locked

demo: ## a file through a real Consul, from upload to reload, in seconds
	@tests/tools/demo

test: ## all tests, on a real Consul ($CONSUL, that on PATH, or one it gets)
	@tests/tools/need strace mandoc zsh fish
	@for tool in $(READERS) faketime shellcheck; do tests/tools/need $$tool || true; done # A test without it says so.
	CONSUL=$$(tests/tools/get-consul) && export CONSUL && cargo test --locked

lint: ## formatting and clippy
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings

bench: ## what a run, a node and a fleet cost, in minutes (PARTS="one-run one-node fleet growth far where quick")
	@for tool in curl strace valgrind; do tests/tools/need $$tool || true; done
	$(MEASURED)
	CONSUL=$$(tests/tools/get-consul) && export CONSUL && $(BENCH) $(PARTS)

instructions: ## whether a run takes more instructions than those in benches/instructions.txt
	@tests/tools/need valgrind
	$(MEASURED)
	CONSUL=$$(tests/tools/get-consul 1.20.6) && export CONSUL && $(BENCH) instructions

instructions-update: ## write what a run takes now into benches/instructions.txt
	@tests/tools/need valgrind
	$(MEASURED)
	CONSUL=$$(tests/tools/get-consul 1.20.6) && export CONSUL && $(BENCH) instructions-update

# Programs that read all files of a directory as their configuration.
READERS = dnsmasq=dnsmasq-base nginx=nginx-light logrotate visudo=sudo

MEASURED = cargo build --profile measured --locked --example floor --example empty
BENCH = cargo bench --profile measured --locked --bench bench --

pictures: all ## draw docs/pictures anew: from the texts beside them, and the demo's terminal from a real run
	CONSUL=$$(tests/tools/get-consul 1.20.6) && export CONSUL && \
	UPDATE_PICTURES=1 KVX_BIN=$(CURDIR)/target/release cargo test --locked --test main docs::pictures

generate: ## write the completions and the options in the man pages anew, from src/cli/args
	UPDATE_GENERATED=1 cargo test --locked --test main docs::generated

BUILT ?= $(or $(CARGO_TARGET_DIR),target)/release
include packaging/install.mk

deb: all ## a Debian package, in target/packages, lintian-clean
	BUILT=$(BUILT) packaging/deb

dist: all ## a tarball to install from, its checksums and its list of dependencies, in target/packages
	BUILT=$(BUILT) packaging/dist

licenses: ## whether all dependencies are free to use, from crates.io and wanted (deny.toml)
	$$(packaging/get-cargo cargo-deny) --locked check licenses bans sources

advisories: ## whether a dependency is known to be vulnerable; fetches RustSec's database from GitHub
	$$(packaging/get-cargo cargo-deny) --locked check advisories

clean: ## remove what was built
	cargo clean

help: ## this
	@sed -n 's/^\([a-z-]*\):[a-z ]* ## /make \1	/p' Makefile packaging/install.mk

.PHONY: all demo test lint bench instructions instructions-update pictures generate deb dist licenses advisories clean help
