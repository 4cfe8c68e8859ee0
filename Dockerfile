# syntax=docker/dockerfile:1
# The roomcast image: the binary and nothing that could run a shell. Build it with `docker build --tag roomcast .`; the load tests' image with
# `--target loadtest`. docs/operations/image.md has the commands for several machines, for a bill of materials and for the same image again.

ARG RUST_VERSION=1.95
FROM rust:${RUST_VERSION}-bookworm AS builder
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies, built from the manifests alone with empty sources, are a layer that lasts until the lock file changes.
COPY Cargo.toml Cargo.lock ./
COPY loadtest/Cargo.toml loadtest/Cargo.toml
RUN mkdir -p src loadtest/src tests/it tests/sim benches \
    && echo 'fn main() {}' | tee src/main.rs loadtest/src/main.rs tests/it/main.rs tests/sim/main.rs benches/main.rs > /dev/null \
    && touch src/lib.rs loadtest/src/lib.rs \
    && cargo build --profile dist --locked --package roomcast --bin roomcast

COPY . .
# Copied files can be older than what was built from the empty ones, and cargo goes by their times.
RUN touch src/main.rs src/lib.rs \
    && cargo build --profile dist --locked --package roomcast --bin roomcast

FROM builder AS loadtest-builder
RUN cargo build --profile dist --locked --package roomcast-loadtest --bin roomcast-loadtest

FROM gcr.io/distroless/cc-debian12:nonroot AS loadtest
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="roomcast-loadtest" \
      org.opencontainers.image.description="Load scenarios for roomcast that check every publication" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/roomcast/roomcast" \
      org.opencontainers.image.documentation="https://github.com/roomcast/roomcast/blob/main/docs/loadtest.md" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=loadtest-builder /build/target/dist/roomcast-loadtest /usr/local/bin/roomcast-loadtest
COPY LICENSE /usr/share/doc/roomcast/LICENSE
USER nonroot
ENTRYPOINT ["/usr/local/bin/roomcast-loadtest"]

FROM gcr.io/distroless/cc-debian12:nonroot AS gateway
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="roomcast" \
      org.opencontainers.image.description="A real-time broker for multi-tenant applications" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/roomcast/roomcast" \
      org.opencontainers.image.documentation="https://github.com/roomcast/roomcast/blob/main/docs/operations.md" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=builder /build/target/dist/roomcast /usr/local/bin/roomcast
COPY LICENSE /usr/share/doc/roomcast/LICENSE

# Inside a container loopback reaches nobody. The internal port is for probes and metrics: do not publish it.
ENV ROOMCAST_SERVER__ADDRESS=0.0.0.0:8080 \
    ROOMCAST_INTERNAL__LISTEN=0.0.0.0:9090
EXPOSE 8080 9090
USER nonroot
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s --retries=3 CMD ["/usr/local/bin/roomcast", "health"]
ENTRYPOINT ["/usr/local/bin/roomcast"]
CMD ["serve"]
