# postrider: see README.md.  "make demo" and "make test" do everything, from
# installing packages on.

EXTENSION = postrider
EXTENSION_VERSION = 0.2.0
MODULE_big = postrider
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c))
SQL_MODULES = prelude version access id schema_format schema topic topic_schema convert mapping template secret secret_source endpoint credential secret_source_status subscription message pending \
	cursor partition emit watch control erase sensitive explain response trial on_message stats status health secret_use timeline config_history config_document config_apply \
	problem_server \
	problem_endpoint \
	problem_secret \
	problem \
	metrics \
	tenant_limits \
	dead_letter_summary \
	status_page \
	alert \
	tenant grants
UPDATES = $(notdir $(wildcard sql/update/*--$(EXTENSION_VERSION).sql))
DATA_built = sql/$(EXTENSION)--$(EXTENSION_VERSION).sql $(UPDATES:%=sql/%)

# Empty where a compiler warns of more than ours do: make WERROR=
WERROR ?= -Werror
PG_CPPFLAGS = -I$(srcdir)/src $(shell curl-config --cflags 2>/dev/null)
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wshadow $(WERROR) -MMD -MP
SHLIB_LINK = -lcurl -lcrypto

EXTRA_CLEAN = $(DATA_built) $(OBJS:.o=.d)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

# A fresh machine has no PGXS yet; the targets below install it first.
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
endif

sql/$(EXTENSION)--$(EXTENSION_VERSION).sql: $(SQL_MODULES:%=sql/%.sql)
	cat $^ > $@

# From each released version; what was released stands in sql/releases.
sql/$(EXTENSION)--%--$(EXTENSION_VERSION).sql: sql/update/$(EXTENSION)--%--$(EXTENSION_VERSION).sql \
		sql/releases/$(EXTENSION)--%.sql sql/$(EXTENSION)--$(EXTENSION_VERSION).sql tools/make-update
	tools/make-update $(wordlist 1,3,$^) > $@.new
	mv $@.new $@

# PGXS does not track headers: the compiler writes down which ones it has read.
# What was compiled without that is compiled again.
DEPENDENCIES = $(OBJS:.o=.d)
-include $(wildcard $(DEPENDENCIES))
$(patsubst %.d,%.o,$(filter-out $(wildcard $(DEPENDENCIES)),$(DEPENDENCIES))): FORCE

# The version stands in several places; a build where they differ is wrong.
check-version:
	@tools/check-version $(EXTENSION_VERSION)

# Every event that the source logs is in doc/logs.md, and no other.
check-log-events:
	@tools/check-log-events

all: check-version check-log-events

SUDO = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: FORCE test-servers test-packages dist reference check-version check-log-events bench fuzz test-faults test-memory demo demo-stop test build-and-install

build-and-install:
	$(MAKE) -s -j$$(nproc) all
	$(MAKE) -s -C test/module all
	$(SUDO) $(MAKE) -s install
	$(SUDO) $(MAKE) -s -C test/module install

test:
	test/setup/install-packages test
	$(MAKE) -s build-and-install
	test/run $(SUITES)

# Things break while messages flow; up to 20 minutes.  SEED=n repeats a run.
test-faults:
	test/setup/install-packages test
	$(MAKE) -s build-and-install
	test/faults/run

# Static analysis, and the suites with sanitizers; about half an hour, more the first time,
# when a PostgreSQL is built for it.
test-memory:
	test/setup/install-packages memory
	test/memory/run $(CHECKS)

# Everything from nothing on PostgreSQL 15 to 18, each in a clean system; as root, and it
# takes hours.  SERVERS="17 18" selects.
test-servers:
	test/servers/run

# Packages of this and the last release, in a clean Debian: built, installed, upgraded with
# messages in flight, removed; and the archive for PGXN.  As root, half an hour.
test-packages:
	test/packages/run

# What PGXN gets: the files of a commit, and the script that META.json names.
DIST = $(EXTENSION)-$(EXTENSION_VERSION)
COMMIT = HEAD
dist: check-version
	rm -rf tmp/dist && mkdir -p tmp/dist
	git archive $(COMMIT) | tar -x -C tmp/dist
	$(MAKE) -s -C tmp/dist check-version sql/$(EXTENSION)--$(EXTENSION_VERSION).sql
	git archive --format=zip --prefix=$(DIST)/sql/ --add-file=tmp/dist/sql/$(EXTENSION)--$(EXTENSION_VERSION).sql \
		--prefix=$(DIST)/ -o $(DIST).zip $(COMMIT)
	rm -rf tmp/dist

# Random input for all that compiles and evaluates, FUZZ_SECONDS=600 of it in
# all.  SEED=n repeats a run.
fuzz:
	test/setup/install-packages test
	$(MAKE) -s build-and-install
	test/fuzz/run $(TARGETS)

# Measures; never fails for being slow, and is no part of CI.
bench:
	test/setup/install-packages bench
	$(MAKE) -s build-and-install
	test/bench/run

demo:
	test/setup/install-packages build
	$(MAKE) -s build-and-install
	test/demo/run start

# The chapters of README.md and doc/ that are made of comments in the database.
reference:
	test/setup/install-packages build
	$(MAKE) -s build-and-install
	tools/reference

demo-stop:
	test/demo/run stop
