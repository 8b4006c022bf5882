# What can be done with spot-guard; `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

cache      := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/spot-guard-tests
target_dir := $(or $(CARGO_TARGET_DIR),target)
dist       := $(target_dir)/dist
version    := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
musl       := $(shell uname -m)-unknown-linux-musl
scripts    := .ci/run $(shell git ls-files -z tests packaging 2>/dev/null | xargs -0r awk 'FNR == 1 && /^\#!.*sh$$/ { print FILENAME }')
# What decides and does no I/O, with the configuration and the record's folder.
core       := src/notice.rs src/notice/read.rs src/moment.rs src/response/**/*.rs src/hooks/{steps,phase,environment}.rs \
		src/record.rs src/record/store.rs src/config/**/*.rs
phases     := notice during pre-drain local-drain post-drain uncordon

# Tests wait most of the time, for windows of half a minute: many at once, however few processors there are.
export RUST_TEST_THREADS ?= 8

# How many pods are on the node that `make bench` drains.
SIZES ?= 10,110

# What `make install` installs.
BINARY ?= $(target_dir)/$(musl)/release/spot-guard
share  := /usr/share
# Where zsh looks on Debian; /usr/share/zsh/site-functions elsewhere.
zsh_functions ?= $(share)/zsh/vendor-completions

.PHONY: help build release dist install generated demo check test test-all simulate figures bench bench-fleet connections \
	credentials soak fuzz mutants pictures clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | column -t -s $$'\t'

build: ## the program for trying things out, quick to build: target/debug/spot-guard
	cargo build --locked

release: ## the program to install: static and small; takes two minutes the first time
	packaging/build-release

dist: ## deb, rpm and tar.gz for x86_64 and aarch64, checksums, what is linked in: target/dist, the same bits wherever made
	@for program in dh rpmbuild aarch64-linux-gnu-gcc; do command -v $$program >/dev/null || \
		{ echo "make dist: there is no $$program; docs/install.md says what it takes" >&2; exit 1; }; done
	rm -rf $(dist)
	for architecture in x86_64 aarch64; do packaging/build-release $$architecture; packaging/pack $$architecture \
		$(target_dir)/$$architecture-unknown-linux-musl/release/spot-guard $(dist); done
	packaging/sbom >$(dist)/spot-guard-$(version).cdx.json
	cd $(dist) && sha256sum -- *.deb *.rpm *.tar.gz *.json >SHA256SUMS

install: ## put program, unit, hooks and folders under DESTDIR (empty: this machine), after make release
	@test -x $(BINARY) || { echo "make install: there is no $(BINARY); make release builds it"; exit 1; } >&2
	install -D -m 755 $(BINARY) $(DESTDIR)/usr/bin/spot-guard
	install -D -m 644 systemd/spot-guard.service $(DESTDIR)/usr/lib/systemd/system/spot-guard.service
	install -D -m 644 systemd/spot-guard.preset $(DESTDIR)/usr/lib/systemd/system-preset/90-spot-guard.preset
	install -d $(phases:%=$(DESTDIR)/etc/spot-guard/hooks/%.d) $(phases:%=$(DESTDIR)/usr/lib/spot-guard/hooks/%.d)
	install -m 755 packaging/hooks/local-drain.d/50-containers $(DESTDIR)/usr/lib/spot-guard/hooks/local-drain.d
	install -D -m 755 packaging/hooks-available/* -t $(DESTDIR)/usr/lib/spot-guard/hooks-available
	install -D -m 755 packaging/hooks-template/pre-drain.d/* -t $(DESTDIR)/usr/share/spot-guard/hooks-template/pre-drain.d
	install -D -m 644 packaging/completions/spot-guard.bash $(DESTDIR)$(share)/bash-completion/completions/spot-guard
	install -D -m 644 packaging/completions/_spot-guard -t $(DESTDIR)$(zsh_functions)
	install -D -m 644 packaging/completions/spot-guard.fish -t $(DESTDIR)$(share)/fish/vendor_completions.d
	install -D -m 644 packaging/man/*.5 -t $(DESTDIR)$(share)/man/man5
	install -D -m 644 packaging/man/*.7 -t $(DESTDIR)$(share)/man/man7
	install -D -m 644 packaging/man/*.8 -t $(DESTDIR)$(share)/man/man8
	install -D -m 644 packaging/prometheus/spot-guard.rules.yml -t $(DESTDIR)$(share)/spot-guard/prometheus
	install -D -m 644 packaging/grafana/spot-guard.json -t $(DESTDIR)$(share)/spot-guard/grafana
	install -D -m 644 README.md CHANGELOG.md LICENSE -t $(DESTDIR)$(share)/doc/spot-guard
	install -D -m 644 docs/*.md -t $(DESTDIR)$(share)/doc/spot-guard/docs
	install -D -m 644 packaging/webhook/slack.json $(DESTDIR)/usr/lib/spot-guard/webhook/slack.json
	install -D -m 644 packaging/webhook/pagerduty.json $(DESTDIR)/usr/lib/spot-guard/webhook/pagerduty.json
	test -e $(DESTDIR)/etc/default/spot-guard-hooks || \
		install -D -m 644 packaging/default/spot-guard-hooks $(DESTDIR)/etc/default/spot-guard-hooks
	test -e $(DESTDIR)/etc/spot-guard/config.toml || \
		install -m 644 packaging/config.toml $(DESTDIR)/etc/spot-guard/config.toml

generated: build ## write completions and man pages, which tests hold to what they are made from, into packaging/
	$(target_dir)/debug/spot-guard completions bash >packaging/completions/spot-guard.bash
	$(target_dir)/debug/spot-guard completions zsh >packaging/completions/_spot-guard
	$(target_dir)/debug/spot-guard completions fish >packaging/completions/spot-guard.fish
	SPOT_GUARD_TEST_WRITE_MANUAL=1 cargo test --locked --test manual the_manual_is_what_it_is_made_from

demo: ## a Spot interruption of a dozen pods in half a minute, with nothing but this machine
	cargo build --locked --workspace --bins
	$(target_dir)/debug/demo

check: ## format, clippy, scripts, licences, tests beside stand-ins: under two minutes, once everything is compiled
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	shellcheck $(scripts)
	tests/cargo-deny check licenses bans sources
	cargo build --locked --workspace --bins
	env -u SPOT_GUARD_TEST_REQUIRE_ALL tests/once-more cargo test --locked --workspace

test: ## all that must hold before a change lands: check, then a real control plane, a real systemd and a real node
	tests/prepare
	$(MAKE) --no-print-directory check simulate release
	tests/really tests/once-more cargo test --locked --test '[!n]*'
	tests/really tests/once-more cargo test --locked --test node

test-all: test ## test, and all that takes long: three quarters of an hour more; and the figures
	tests/prepare all
	$(MAKE) --no-print-directory dist
	tests/really cargo test --locked --test promises --test packages -- --ignored
	$(MAKE) --no-print-directory soak MINUTES=4
	SPOT_GUARD_TEST_WHOLE_WINDOWS=1 tests/really cargo test --locked --test promises away_for_half_the_window
	$(MAKE) --no-print-directory figures

simulate: ## WORLDS (20000) made-up worlds from seed FROM (0) on against the best possible outcome; SEED=17 tells the story of one
	SPOT_GUARD_SIMULATE_WORLDS="$(or $(WORLDS),20000)" SPOT_GUARD_SIMULATE_FROM="$(FROM)" SPOT_GUARD_SIMULATE_SEED="$(SEED)" \
		cargo test --locked --profile simulation --test simulation -- --nocapture

figures: release ## measure size, memory, CPU and latencies of the release
	cargo build --locked --workspace --bins
	tests/really cargo bench --locked --profile dev --bench figures

bench: release ## spot-guard beside the limit and beside kubectl drain, RUNS (3) races at each of SIZES (10,110) pods; POLLS (10000)
	CARGO_PROFILE_RELEASE_STRIP=none CARGO_TARGET_DIR=$(target_dir)/bench/unstripped packaging/build-release
	tests/really cargo bench --locked --profile measured --bench side_by_side -- sizes=$(SIZES) runs=$(or $(RUNS),3) \
		polls=$(or $(POLLS),10000) unstripped=$(target_dir)/bench/unstripped/$(musl)/release/spot-guard $(ONLY)

connections: release ## count the requests that fail when a node with nginx or haproxy is taken, in RUNS (3) of each way; as root, 40 minutes
	cargo build --locked --workspace --bins
	tests/really cargo bench --locked --profile dev --bench connections -- $(or $(RUNS),3)

bench-fleet: release ## NODES (200) nodes with PODS (30) pods are taken in the same second, RUNS (2) of each way: target/bench/fleet.md
	tests/really cargo bench --locked --profile fleet --bench fleet -- $(or $(NODES),200) $(or $(PODS),30) $(or $(RUNS),2)

credentials: ## what `aws eks get-token` and aws-iam-authenticator cost, RUNS (10) of each, as root: target/bench/credentials.md
	SPOT_GUARD_TEST_AWS=$$(tests/aws/programs) SPOT_GUARD_TEST_PLUGINS=$$(tests/aws/plugins) \
		cargo bench --locked --profile dev --bench credentials -- $(or $(RUNS),10)

soak: release ## MINUTES (60) beside everything that fails, in turn: does the daemon recover, and stay as small as it was?
	cargo build --locked --workspace --bins
	tests/really cargo bench --locked --profile dev --bench soak -- $(or $(MINUTES),60)

fuzz: ## feed TARGET (empty: all in turn) of tests/fuzz with what libFuzzer makes up, for SECONDS (60) each
	tests/fuzz/run "$(TARGET)" "$(or $(SECONDS),60)"

pictures: ## the pictures in docs/pictures anew, of made-up responses, with Chromium and pngquant
	SPOT_GUARD_TEST_REQUIRE_ALL=1 SPOT_GUARD_TEST_PICTURES="$(CURDIR)/docs/pictures" cargo test --locked --test browser
	pngquant --force --skip-if-larger --strip --ext .png docs/pictures/*.png

mutants: ## change what decides in one place after another, in FILE (empty: all of it); which changes does no test notice? Takes hours
	cargo mutants $(patsubst %,-f '%',$(or $(FILE),$(core))) -e 'src/response/driver/**' -e 'src/response/tests/**' \
		--output $(target_dir) --profile simulation -- --locked --lib --test simulation --test corpora --test 'config*'

clean: ## remove what was built here; the tests' cache outside the tree stays
	cargo clean
