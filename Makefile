## make demo     show rolecall at work on a throw-away server
## make test     build everything and run the tests, on a throw-away server too
## make matrix   run the stories on PostgreSQL 15 to 18, the program's on 14 too; SERVERS: directories of further
##               servers' programs, for the program's
## make soak     for half an hour change identities and rules under many readers, feed each parser a
##               million inputs, and let an attacker's login run random statements
## make bench    measure, in a release build; one part only with ONLY=basics, acls, queues, filters or provisioner
## make lint     formatting and clippy
## make build    build the extension and the program, without optimisation
## make clean    remove all that the commands above have left
## make install PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config
##               install the extension into that server (15 to 18; its development
##               files must be there) and the program into PREFIX/bin (/usr/local/bin).
##               Builds as you and copies with sudo where you may not write.
##
## demo, test, matrix, soak, bench and lint install what they need by apt (see tests/setup), and use
## a private copy of PostgreSQL: a server that is already on the machine is left alone.

export CARGO_TARGET_DIR ?= $(CURDIR)/target
PREFIX ?= /usr/local

# Prepares the machine, then runs a command with PG_CONFIG naming the private copy.
SETUP := tests/setup

.PHONY: help demo test matrix soak bench lint build clean install files

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

demo: build
	$(SETUP) $(CARGO_TARGET_DIR)/debug/demo

test: build
	$(SETUP) cargo test --workspace

matrix: build
	$(SETUP) tests/matrix $(SERVERS)

soak:
	$(SETUP) cargo build --release -p rolecall --lib
	$(SETUP) $(MAKE) --no-print-directory files PROFILE=release
	ROLECALL_SOAK=1800 ROLECALL_FUZZ=1000000 ROLECALL_SQLSMITH=10000 $(SETUP) cargo test --release \
	    -p rolecall-policy -p rolecall-tests --test fuzz --test stories -- --nocapture fuzz soak attacker_random

bench:
	$(SETUP) cargo build --release --workspace
	$(SETUP) $(MAKE) --no-print-directory files PROFILE=release
	$(SETUP) $(CARGO_TARGET_DIR)/release/bench $(ONLY)

lint:
	cargo fmt --all --check
	$(SETUP) cargo clippy --workspace --all-targets -- -D warnings

# All targets, so that cargo settles on the same features of the dependencies as for the tests and compiles them once.
build:
	$(SETUP) cargo build --workspace --all-targets
	$(SETUP) $(MAKE) --no-print-directory files PROFILE=debug

clean:
	rm -rf "$$(readlink -f $(CARGO_TARGET_DIR)/setup)" $(CARGO_TARGET_DIR)

install:
	@command -v "$(PG_CONFIG)" >/dev/null || { echo "usage: make install PG_CONFIG=/path/of/pg_config" >&2; exit 2; }
	@test -e "$$($(PG_CONFIG) --includedir-server)/postgres.h" || \
	    { echo "the development files of that server are missing (Debian: postgresql-server-dev-NN)" >&2; exit 2; }
	major=$$($(PG_CONFIG) --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'); \
	PGRX_PG_CONFIG_PATH=$(PG_CONFIG) cargo build --release -p rolecall -p rolecall-provisioner \
	    --no-default-features --features rolecall/pg$$major
	$(MAKE) --no-print-directory files PROFILE=release
	mkdir -p $(PREFIX)/bin 2>/dev/null; \
	$$(test -w $(PREFIX)/bin || echo sudo) install -D -t $(PREFIX)/bin $(CARGO_TARGET_DIR)/release/rolecall

# Copies the extension built for PROFILE into the server of PG_CONFIG. Running backends have the library mapped:
# it is replaced, not overwritten. What sql/released has is what was released, and is never edited again; what has
# changed since goes into the script in sql/upgrade too.
files:
	@set -e; \
	lib=$$($(PG_CONFIG) --pkglibdir); share=$$($(PG_CONFIG) --sharedir)/extension; \
	version=$$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" rolecall.control); \
	as=$$(test -w $$lib || echo sudo); \
	cat sql/install/*.sql >$(CARGO_TARGET_DIR)/rolecall--$$version.sql; \
	$$as install -m 644 rolecall.control $(CARGO_TARGET_DIR)/rolecall--$$version.sql sql/released/*.sql sql/upgrade/*.sql $$share/; \
	$$as install -m 755 $(CARGO_TARGET_DIR)/$(PROFILE)/librolecall.so $$lib/rolecall.so.new; \
	$$as mv $$lib/rolecall.so.new $$lib/rolecall.so
