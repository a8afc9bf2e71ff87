# make run     guard this machine, in the foreground (as root)
# make test    install what the tests need, and run them all
# make         build the static binary and print its size
# make deb     packages for Raspberry Pi OS and Debian; make openwrt: for routers
# make dist    the same for routers: static musl binaries for ARM, MIPS, RISC-V and x86, in dist/
#
# TARGET may name any target that rustc has a standard library for; cross/ builds the routers' ones.
TARGET  ?= $(shell uname -m)-unknown-linux-gnu
BINARY   = target/$(TARGET)/release/sipguard
ARGS    ?=
DESTDIR ?=
PREFIX  ?= /usr/local
# What the tests look at the kernel with, play the network with, send mail with, and compare with.
PACKAGES = systemd nftables ipset iptables iproute2 strace util-linux acl procps exim4-daemon-light bsd-mailx whois fail2ban
# What packages are made and looked at with, and the machines they are installed on.
PACKAGES += debootstrap shellcheck lintian xz-utils busybox python3-minimal

# `sipguard version` names it.
export SIPGUARD_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)

.PHONY: build run test lint bench counts fuzz soak dist bloat test-arm install deb openwrt packages clean

build:
	RUSTFLAGS="-Ctarget-feature=+crt-static" cargo build --release --locked --target $(TARGET)
	@echo "$(BINARY): $$(stat -c %s $(BINARY)) bytes, static, stripped"

run: build
	$(BINARY) run $(ARGS)

test: packages
	cargo test --locked --no-fail-fast

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

# ripgrep is what the scan is compared with.
# Everybody's numbers beside ours: 20 minutes on an idle machine. Results are in target/bench.
PEERS = fail2ban python3-pyinotify sshguard ripgrep nftables ipset iptables util-linux
bench: PACKAGES = $(PEERS)
bench: build packages
	@test -x target/peers/bin/fail2ban-rs || cargo install --quiet --locked --root target/peers fail2ban-rs
	SIPGUARD_PROGRAM=$(abspath $(BINARY)) cargo bench --locked --bench table

# Instructions for each line and each ban, by callgrind: as good on a busy machine as on an idle one.
counts: PACKAGES = valgrind
counts: build packages
	SIPGUARD_PROGRAM=$(abspath $(BINARY)) cargo test --locked --test instructions -- --ignored --nocapture

# Needs a nightly compiler. Each target runs so long; what it finds new stays in fuzz/corpus.
FUZZ_SECONDS ?= 600
FUZZ_SEEDS_line   = tests/golden
FUZZ_SEEDS_config = tests/data/article tests/data/howto
fuzz:
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@for target in $$(cargo +nightly fuzz list); do \
	  case $$target in line|blocks) seeds="$(FUZZ_SEEDS_line)";; config) seeds="$(FUZZ_SEEDS_config)";; *) seeds=;; esac; \
	  mkdir -p fuzz/corpus/$$target; \
	  cargo +nightly fuzz run $$target fuzz/corpus/$$target $$seeds -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=9000 -timeout=10 -print_final_stats=1 || exit 1; done

# As many seeds of the simulator as that takes: SOAK_SECONDS, or SOAK_SEEDS from SOAK_FIRST on.
soak: export SOAK_SECONDS ?= 3600
soak:
	cargo test --locked --profile soak --test simulator guard_and_model -- --nocapture

# What each needs stands in the scripts; cross/toolchain fetches compilers (180 MB) into ~/.cache once.
dist:
	cross/build

bloat:
	cross/bloat

# Nothing to do if they passed with the same sources; `cross/test` runs the unit tests as ARM and MIPS programs, too.
test-arm:
	cross/test changed

install: build
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/sipguard

# Packages for Raspberry Pi OS, Debian and OpenWrt, from what cross/build left in dist/.
deb:
	init.d/build-deb

openwrt:
	openwrt/build

# Debian and its children; elsewhere the programs have to be there already.
packages:
	@dpkg -s $(PACKAGES) >/dev/null 2>&1 || { \
	  command -v apt-get >/dev/null || { echo "please install: $(PACKAGES)"; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(PACKAGES); }

clean:
	cargo clean
