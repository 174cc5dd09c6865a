# Two stages: pip and what it leaves behind stay in the first one.
FROM python:3.13-slim AS build

WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# For the module in C.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev
# What the locks say, and nothing else: the gateway's own wheel is built and installed without a look at an index.
COPY requirements requirements
RUN python -m venv --without-pip /opt/gateway \
    && pip install --require-hashes -r requirements/build.txt \
    && pip --python /opt/gateway/bin/python install --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY tools/build_kernel.py tools/
RUN pip wheel --no-build-isolation --no-deps --wheel-dir dist . \
    && pip --python /opt/gateway/bin/python install --no-index --no-deps dist/*.whl


FROM python:3.13-slim

# No home, no shell, and no right to write anywhere but /tmp.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway

ENV PATH=/opt/gateway/bin:$PATH \
    GATEWAY_CONFIG=/etc/gateway/gateway.yaml \
    PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
EXPOSE 8080

# The private listener, which is on the container's own loopback and is not published.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["gateway", "health", "--probe", "live", "--url", "http://127.0.0.1:9090"]

ENTRYPOINT ["gateway", "run"]
