# An S3 store on this machine. MinIO is published as source only, so it is built from its Go module.
FROM golang:1.26-bookworm AS build
RUN --mount=type=cache,target=/var/cache/go-build --mount=type=cache,target=/go/pkg/mod \
    CGO_ENABLED=0 GOCACHE=/var/cache/go-build go install -trimpath -ldflags="-s -w" github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

FROM debian:bookworm-slim
RUN useradd --uid 10004 --create-home app && install -d -o app /data
COPY --from=build /go/bin/minio /usr/local/bin/minio
COPY --chmod=755 compose/images/store-healthy /usr/local/bin/
USER app
EXPOSE 9000
VOLUME /data
HEALTHCHECK --interval=5s --start-period=30s CMD ["store-healthy"]
ENTRYPOINT ["minio"]
CMD ["server", "/data"]
