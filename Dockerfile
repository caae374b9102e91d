# Two stages: build with the Rust toolchain, run on a slim Debian as nobody in particular.
#   docker build -t passgate .
#   docker run -p 8443:8443 -v passgate:/var/lib/passgate \
#     -v ./passgate.toml:/etc/passgate/passgate.toml:ro passgate
FROM rust:1-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake gcc g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ARG PASSGATE_COMMIT=unknown
ENV PASSGATE_COMMIT=${PASSGATE_COMMIT}
RUN cargo build --release --locked --bin passgate

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/passgate --shell /usr/sbin/nologin passgate \
 && install -d -m 0700 -o passgate -g passgate /var/lib/passgate \
 && install -d -m 0755 /etc/passgate
COPY --from=build /source/target/release/passgate /usr/local/bin/passgate
USER passgate
VOLUME /var/lib/passgate
# https as in the example configuration. The admin listener (9180) is for localhost and stays inside.
EXPOSE 8443
STOPSIGNAL SIGTERM
ENTRYPOINT ["passgate"]
CMD ["run", "--config", "/etc/passgate/passgate.toml"]
