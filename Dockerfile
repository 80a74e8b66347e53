# The service as an image. What installs it stays in the first stages, and so does what Python's own
# image has and a service has no use for.

FROM python:3.11-slim-bookworm AS python

# Modules are compiled here: nobody can on a read-only root, and each start would do it anew. What is
# compiled holds no time, and no file is younger than Python, so that each build gives the same.
WORKDIR /usr/local
RUN rm -rf bin/2to3* bin/idle* bin/pip* bin/pydoc* bin/python*-config bin/wheel include \
        lib/pkgconfig lib/python3.11/config-* lib/python3.11/ensurepip lib/python3.11/idlelib \
        lib/python3.11/lib2to3 lib/python3.11/site-packages/* lib/python3.11/tkinter \
        lib/python3.11/turtledemo share \
    && python -m compileall -q -f --invalidation-mode unchecked-hash lib/python3.11 \
    && find . -newer bin/python3.11 -exec touch -h -r bin/python3.11 {} + \
    && find /usr -type f -perm /6000 -exec chmod a-s {} +

FROM python:3.11-slim-bookworm AS build

# What the service needs: `redis` has the shared cache as well, `all` every extra.
ARG LOCK=server
WORKDIR /src
COPY requirements/all.lock requirements/build.lock requirements/redis.lock requirements/server.lock requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.lock \
    && python -m venv --without-pip /opt/prompt-resolver \
    && pip --python /opt/prompt-resolver/bin/python install --no-cache-dir --no-compile \
        --require-hashes -r "requirements/$LOCK.lock"
COPY pyproject.toml README.md ./
COPY clients/python clients/python
COPY service service
# When the commit was made.
ARG SOURCE_DATE_EPOCH=0
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && pip --python /opt/prompt-resolver/bin/python install --no-cache-dir --no-compile \
        --no-deps /dist/*.whl \
    && python -m compileall -q -f --invalidation-mode unchecked-hash /opt/prompt-resolver/lib \
    && find /opt/prompt-resolver -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

FROM scratch

# What is left of Python's image, as one layer: what was removed is in none.
# hadolint ignore=DL3067
COPY --from=python / /
COPY --from=build /opt/prompt-resolver /opt/prompt-resolver
ENV PATH=/opt/prompt-resolver/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="prompt-resolver" \
    org.opencontainers.image.description="Prompts that live outside your code: resolved, versioned and completed over gRPC." \
    org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"
USER 65532:65532
EXPOSE 50051 9090
STOPSIGNAL SIGTERM
# Kubernetes does not read it: there the probes ask the same.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["prompt-resolver", "health"]
ENTRYPOINT ["prompt-resolver"]
CMD ["serve"]
