# Countersign: every command there is. `make` alone lists them.
export GOTOOLCHAIN ?= local

# What the tests with real peers stand on, as Debian packages.
PEERS = gcc libc6-dev openssl gpgsm libnss3-tools libbcmail-java openjdk-17-jdk-headless dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd \
  postfix gnome-keyring dbus dbus-x11 libsecret-tools chromium fonts-dejavu-core \
  bind9 bind9-utils unbound slapd ldap-utils \
  softhsm2 opensc opensc-pkcs11 libnss3 opencryptoki libopencryptoki0 libtpm2-pkcs11-1 libtss2-tcti-tabrmd0 libtss2-tcti-swtpm0 tpm2-abrmd \
  swtpm swtpm-tools pcscd vsmartcard-vpcd iproute2 pinentry-curses pinentry-tty pinentry-gnome3

# VULNDB: where govulncheck finds its database, for machines that cannot reach the public one.
VULNDB ?=
FUZZTIME ?= 5s

.DEFAULT_GOAL := help
.PHONY: help setup build demo test check format vet lint race fuzz vuln peers bench shots soak wine

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: ## install what check and peers need (Debian; asks for root; starts no server)
	@if ! command -v apt-get >/dev/null; then echo "setup knows Debian only; install by hand: $(PEERS)"; exit 1; fi
	@.ci/setup $(PEERS)
	go mod download

build: ## the programs, into bin/
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./cmd/countersign ./cmd/countersign-agent ./cmd/countersign-tray ./cmd/countersign-pkcs11

demo: build ## the main job on an embedded mail server; ONCE=1 plays it by itself
	@bin/countersign-agent --demo $(if $(ONCE),--once)

test: ## all tests that need nothing installed (two minutes at most)
	go test -skip 'Peer|Kill' ./...

check: format vet lint race fuzz vuln ## format, vet for three systems, lint, plan, ceilings, race, short fuzz, known vulnerabilities

format:
	@out=$$(gofmt -l cmd mailer pkcs11 platform tray vault); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }

vet:
	go vet ./...
	GOOS=windows CGO_ENABLED=0 go vet ./...
	GOOS=darwin CGO_ENABLED=0 go vet ./...

lint:
	go tool staticcheck ./...
	go test -count=1 ./cmd

race: # without GORACE each process sleeps a second before it ends
	GORACE=atexit_sleep_ms=50 CGO_ENABLED=1 go test -race -short -skip 'Peer|Kill' $$(go list ./... | grep -v /cmd$$)

fuzz:
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' cmd mailer pkcs11 platform tray vault | sort | \
	sed -E 's|/[^/]*_test.go:func (.*)| \1 $(FUZZTIME)|' | xargs -P "$$(nproc)" -L 1 .ci/fuzz

vuln:
	@out=$$(go tool govulncheck $(if $(VULNDB),-db $(VULNDB)) ./... 2>&1); rc=$$?; echo "$$out" | tail -n 20; \
	if [ $$rc != 0 ]; then \
	  if [ -z "$(VULNDB)" ] && echo "$$out" | grep -qE 'dial tcp|no such host|connection refused|fetching vulnerabilities'; then \
	    echo "skipped: the vulnerability database cannot be reached; name a copy with VULNDB=file:///FOLDER"; \
	  else exit 1; fi; \
	fi

peers: ## the tests with real peers, and a tenth of soak's kills; a peer that is not installed fails (make setup installs them)
	COUNTERSIGN_PEERS=required go test -count=1 -run 'Peer|Kill' ./...

bench: ## ratios to peers measured in the same run; CASE=NAME runs one
	@CGO_ENABLED=0 go run ./cmd/bench $(CASE)

shots: ## the pictures in tray/web/shots, taken anew
	@d=$$(mktemp -d) && COUNTERSIGN_SHOTS=$$d go test -count=1 -run 'TestPeerPageMainPath|TestPeerCardPages' ./tray/demo ./cmd/countersign && \
	for p in inbox message verify write phone smartcards; do cp $$d/$$p.png tray/web/shots/; done; rm -rf $$d

soak: ## long chaos, kill and fuzz runs
	COUNTERSIGN_SOAK=1 COUNTERSIGN_PEERS=required go test -count=1 -timeout 120m -run 'Soak|Kill' ./...
	$(MAKE) fuzz FUZZTIME=10m

wine: ## the Windows programs and suites under wine; long
	.ci/wine
