# The picker alone: no Envoy, no development tools. Runs as nobody on a read-only root file system.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY epp ./epp
RUN python -m venv /opt/epp && /opt/epp/bin/pip install --no-cache-dir . && /opt/epp/bin/python -m compileall -q /opt/epp/lib

FROM python:3.11-slim
COPY --from=build /opt/epp /opt/epp
ENV PATH=/opt/epp/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# 65532: the id that base images commonly give to "nonroot"; any other works as well.
USER 65532:65532
EXPOSE 9002 9003 9090
ENTRYPOINT ["epp", "serve"]
