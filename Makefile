# Tidegate. `make run` sets up and starts everything, `make test` runs every test; `make help` lists the rest.

B       ?= build
ifeq ($(origin CC),default)
CC = gcc
endif
# `make V=1` shows the commands.
Q = $(if $(V),,@)
SAY = $(if $(V),@true,@echo)
PORT    ?= 8443
RUN_DIR ?= $(CURDIR)/var
DEMO    ?= 1
FILE    ?=
PROFILE ?= bowling
ROWS    ?= 200000
SEED    ?= 1
PREFIX  ?= /usr/local

WARN = -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
       -Wwrite-strings -Wswitch-enum -Wnull-dereference -fno-common -Werror
HARDEN = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fPIE
OPT  ?= -O2 -g
SANITIZE ?=
CPPFLAGS = -D_GNU_SOURCE -I. -I$(B)/gen -I/usr/include/postgresql -include core/base/banned.h
CFLAGS = -std=c17 $(OPT) $(WARN) $(if $(SANITIZE),-fPIE,$(HARDEN)) $(SANITIZE)
LDFLAGS = -pie -Wl,-z,relro,-z,now $(SANITIZE)
LIBS = -lfcgi -lpq -lcurl -lssl -lcrypto -ljansson -lsodium -lseccomp -linih -lzip -lisal -lexpat -lsqlite3 -lzstd -lz -lm

LIB_C  := $(wildcard core/*/*.c fcgi/*.c readers/*.c handlers/*/*.c)
CMD_C  := $(wildcard commands/*.c)
LIB_O  := $(LIB_C:%.c=$(B)/obj/%.o) $(B)/obj/gen/statements.o $(B)/obj/gen/embedded.o
CMD_O  := $(CMD_C:%.c=$(B)/obj/%.o)
UNIT   := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZ   := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all unit-programs fuzz-programs clean
all: $(B)/tidegate $(B)/sample

$(B)/tidegate: $(CMD_O) $(B)/libtidegate.a
	$(SAY) "  LD  $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $(CMD_O) $(B)/libtidegate.a $(LIBS)

$(B)/libtidegate.a: $(LIB_O)
	@rm -f $@
	$(SAY) "  AR  $@"
	$(Q)ar rcs $@ $^

$(B)/sample: tools/sample.c $(B)/libtidegate.a
	$(SAY) "  LD  $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ tools/sample.c $(B)/libtidegate.a $(LIBS)

$(B)/obj/%.o: %.c $(B)/gen/statements.h
	@mkdir -p $(@D)
	$(SAY) "  CC  $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(SAY) "  CC  $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# SQL becomes C: named statements (sql/queries) and the files `tidegate migrate` applies (migrations, functions, roles).
$(B)/gen/statements.h $(B)/gen/statements.c &: $(wildcard sql/queries/*.sql) scripts/statements.awk
	@mkdir -p $(B)/gen
	$(Q)LC_ALL=C awk -v header=$(B)/gen/statements.h -v source=$(B)/gen/statements.c -f scripts/statements.awk $(sort $(wildcard sql/queries/*.sql))

$(B)/gen/embedded.c: $(wildcard sql/migrations/*.sql sql/functions/*.sql) sql/roles.sql docs/openapi.yaml scripts/embed.sh
	@mkdir -p $(B)/gen
	$(Q)scripts/embed.sh docs/openapi.yaml sql/roles.sql $(sort $(wildcard sql/migrations/*.sql)) $(sort $(wildcard sql/functions/*.sql)) > $@

unit-programs: $(UNIT) $(B)/tests/misreader

$(B)/tests/misreader: tests/lib/misreader.c $(B)/libtidegate.a
	@mkdir -p $(@D)
	$(SAY) "  LD  $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libtidegate.a $(LIBS)

$(B)/tests/%: tests/unit/%.c tests/unit/tap.h $(B)/libtidegate.a
	@mkdir -p $(@D)
	$(SAY) "  LD  $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.o,$^) $(B)/libtidegate.a $(LIBS)

# Parts of commands that are pure are tested as they are.
$(B)/tests/test_import_request: $(B)/obj/commands/import_request.o

# With FUZZ_ENGINE=-fsanitize=fuzzer a program looks for inputs itself; without, it is given files.
FUZZ_ENGINE ?=
fuzz-programs: $(FUZZ)

$(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/replay_main.c $(B)/libtidegate.a
	@mkdir -p $(@D)
	$(SAY) "  LD  $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(FUZZ_ENGINE) $(LDFLAGS) -o $@ $< $(if $(FUZZ_ENGINE),,tests/fuzz/replay_main.c) $(B)/libtidegate.a $(LIBS)

clean:
	rm -rf $(B) build-asan build-fuzz

# ------------------------------------------------------------------------------------------ what a person types
.PHONY: help run stop demo demo-sqlite sample test test-s3 test-sync bench test-asan lint fuzz fuzz-sqlite fuzz-replay install

help: ## lists these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## sets up and starts everything: PORT=8443 RUN_DIR=./var DEMO=1
	@scripts/packages.sh build run
	@$(MAKE) -s --no-print-directory -j$$(nproc) all
	@exec env TIDEGATE_BUILD='$(B)' scripts/run.sh '$(PORT)' '$(RUN_DIR)' '$(DEMO)'

stop: ## ends the instance of RUN_DIR
	@scripts/stop.sh '$(RUN_DIR)'

demo: ## imports FILE=… into the running instance of RUN_DIR
	@scripts/demo.sh '$(RUN_DIR)' '$(FILE)'

demo-sqlite: ## imports a phone's backup into the running instance: FILE=… or a made one of 1400 games; PROFILE=bowling
	@scripts/demo.sh '$(RUN_DIR)' '$(FILE)' '$(PROFILE)'

sample: $(B)/sample ## makes samples/leads-ROWS.csv: ROWS=200000 SEED=1
	@$(B)/sample $(ROWS) $(SEED) > samples/leads-$(ROWS).csv
	@ls -l samples/leads-$(ROWS).csv

test: ## installs what the tests need, builds and runs all of them
	@exec env TIDEGATE_BUILD='$(B)' scripts/test

SYNC_SECONDS ?= 600
test-sync: all ## the crowd of devices over a bad network, for longer: SYNC_SECONDS=600
	@scripts/packages.sh build run test
	@exec env TIDEGATE_BUILD='$(B)' TIDEGATE_SYNC_SECONDS='$(SYNC_SECONDS)' /usr/bin/python3 -m pytest -n 2 -q tests/http/test_sync_crowd.py

test-s3: ## the tests against real object stores (Swift, radosgw); installs them, 300 MB, and starts none of their services
	@exec env TIDEGATE_BUILD='$(B)' scripts/test --s3

# Two more builds, each in its own folder: gcc's sanitizers for tests and seeds, clang's for the search.
GATES ?=
FUZZ_SECONDS ?= 60
TRAPS = -fsanitize=address,undefined -fno-sanitize-recover=all
ASAN_BUILD = B=build-asan OPT='-O1 -g' SANITIZE='$(TRAPS)'

bench: ## numbers against floors and peers of the same run: WHAT="import node xlsx" ROWS=200000
	@scripts/packages.sh build run bench
	@$(MAKE) -s --no-print-directory -j$$(nproc) all
	@exec env TIDEGATE_BUILD='$(B)' bench/bench.sh $(WHAT)

test-asan: ## the same tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@exec env TIDEGATE_BUILD=build-asan OPT='-O1 -g' SANITIZE='$(TRAPS)' scripts/test

lint: ## compilers, analysers and house rules over the whole tree: GATES="tidy rooms" for some
	@scripts/packages.sh build lint
	@$(MAKE) -s --no-print-directory -j$$(nproc) all unit-programs
	@exec env TIDEGATE_BUILD='$(B)' CPPFLAGS='$(CPPFLAGS)' CFLAGS='$(CFLAGS)' scripts/lint.sh $(GATES)

fuzz: ## searches for inputs that break a parser: FUZZ_SECONDS=60 each
	@scripts/packages.sh build lint
	@$(MAKE) -s --no-print-directory -j$$(nproc) B=build-fuzz CC=clang OPT='-O1 -g' SANITIZE='-fsanitize=fuzzer-no-link $(TRAPS)' \
		FUZZ_ENGINE=-fsanitize=fuzzer fuzz-programs
	@exec scripts/fuzz.sh search build-fuzz '$(FUZZ_SECONDS)'

fuzz-sqlite: ## searches for backups that break their import, on an instance of its own: FUZZ_SECONDS=60
	@scripts/packages.sh build run test
	@$(MAKE) -s --no-print-directory -j$$(nproc) all
	@exec env TIDEGATE_BUILD='$(B)' /usr/bin/python3 tests/lib/mutate.py --seconds '$(FUZZ_SECONDS)'

fuzz-replay: ## runs every fuzz target on its committed seeds
	@$(MAKE) -s --no-print-directory -j$$(nproc) $(ASAN_BUILD) FUZZ_ENGINE= fuzz-programs
	@exec scripts/fuzz.sh replay build-asan

install: all ## program, declarations, nginx and systemd files: PREFIX=/usr/local DESTDIR=
	@TIDEGATE_BUILD='$(B)' scripts/install.sh '$(PREFIX)' '$(DESTDIR)'

-include $(LIB_O:.o=.d) $(CMD_O:.o=.d)
