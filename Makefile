# The two commands of the README, and what they are made of.

.PHONY: run test bench bench-record faults measure fuzz fmt lint deny docs image up down

run: ## A node on loopback with a token and a page to try it.
	cargo run -- serve --dev

test: ## Everything that must hold: installs what is missing, checks, tests.
	./scripts/test.sh

bench: ## Instructions of the hot paths, against benches/recorded.json; `scripts/bench.sh --time` takes the clock.
	./scripts/bench.sh

bench-record: ## Writes benches/recorded.json anew.
	./scripts/bench.sh --record

faults: ## Every fault at full length, about half an hour; writes docs/reliability.md.
	./scripts/faults.sh

measure: ## The figures of docs/performance.md, on an otherwise quiet machine.
	./scripts/measure.sh

FUZZ_SECONDS ?= 30

fuzz: ## Every fuzz target for FUZZ_SECONDS; needs a C++ compiler.
	./scripts/fuzz.sh $(FUZZ_SECONDS)

fmt:
	cargo fmt --all

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## Licences, bans, sources and known vulnerabilities of the dependencies.
	cargo deny check

docs: ## Writes the documents anew that are made from the code.
	UPDATE_DOCS=1 cargo test --test it docs

image:
	docker build --tag roomcast .

up: ## Redis, three nodes, a load balancer and a publisher; clients connect to port 8080.
	docker compose up --build --detach --wait

down:
	docker compose down --volumes
