# What `cargo xtask image` makes without Docker; a test compares the settings of the two.
#
#   docker build --tag ghcr.io/corveil/corveil:2.0.0 .

FROM rust:1-bookworm AS build
WORKDIR /corveil
COPY . .
# Static, because the image has no libraries. The target is named so that the flags are not those of build scripts too.
RUN target="$(rustc --version --verbose | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --no-default-features --bin corveil --target "$target" \
    && install -D "target/$target/release/corveil" /image/usr/bin/corveil \
    && install -D --mode=644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && install --mode=644 xtask/src/image/etc/* /image/etc/ \
    && install --directory --mode=1777 /image/tmp

FROM scratch
COPY --from=build /image/ /
LABEL org.opencontainers.image.title="corveil"
LABEL org.opencontainers.image.description="Schema migrations that gate rollouts, the same way under Helm, Helmfile and Argo CD"
LABEL org.opencontainers.image.version="2.0.0"
LABEL org.opencontainers.image.licenses="MIT"
LABEL org.opencontainers.image.source="https://github.com/corveil/corveil"
ENV PATH=/usr/bin
WORKDIR /
USER 1000:1000
EXPOSE 8000/tcp
CMD ["corveil", "serve"]
