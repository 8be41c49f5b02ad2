# syntax=docker/dockerfile:1

# Keep the Go version that go.mod is tested with.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X github.com/attune-go/attune/internal/cli.version=${VERSION}" -o /out/attune ./cmd/attune \
    && chmod 0711 /out/attune # the kernel hides a process whose user cannot read the program: see docs/security.md

# Actions are shell scripts more often than not, so the image has a shell and little else. Build your own image on top
# of this one to give a worker the programs its packs call.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 attune \
    && useradd --uid 10001 --gid attune --home-dir /var/lib/attune --create-home --shell /usr/sbin/nologin attune
COPY --from=build /out/attune /usr/local/bin/attune

USER 10001:10001
WORKDIR /var/lib/attune
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["attune", "health", "--url", "http://127.0.0.1:8080"]

# tini reaps what a worker's actions leave behind.
ENTRYPOINT ["/usr/bin/tini", "--", "attune"]
CMD ["serve"]
