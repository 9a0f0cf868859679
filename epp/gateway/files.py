"""The files of one run of `epp up`, in a directory that goes when it ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.documents import fallback_config, pool_file
from epp.gateway.settings import GatewaySettings, TcpAddress
from epp.gateway.up_settings import HOST, UpSettings, read_backend


@dataclass(frozen=True, slots=True)
class Files:
    """Where they are. `config` None: the picker has its own. `eds` is written whenever the pool changes."""

    pool: Path
    config: Path | None
    bootstrap: Path
    eds: Path


def write_files(directory: Path, settings: UpSettings) -> Files:
    """Writes what the user did not give, and Envoy's bootstrap; for the EDS file only its directory."""
    eds = directory / "eds" / "eds.json"  # alone, because Envoy watches its directory
    eds.parent.mkdir()
    bootstrap = directory / "envoy.json"
    bootstrap.write_text(json.dumps(envoy_bootstrap(_gateway(settings, eds)), indent=1), encoding="utf-8")
    return Files(_pool(directory, settings), _config(directory, settings), bootstrap, eds)


def _gateway(settings: UpSettings, eds: Path) -> GatewaySettings:
    return GatewaySettings(
        host=HOST,
        port=settings.port,
        admin_port=settings.admin_port,
        cluster=settings.cluster,
        eds_file=str(eds),
        picker=f"{HOST}:{settings.grpc_port}",
        picker_health_check=True,
        fail_open=settings.fail_open,
        served_by_header=settings.demo,  # real servers do not say who they are
    )


def _pool(directory: Path, settings: UpSettings) -> Path:
    if settings.pool:
        return Path(settings.pool)
    simulated = [TcpAddress(HOST, port) for port in settings.sim_ports]
    path = directory / "pool.yaml"
    path.write_text(pool_file([*map(read_backend, settings.backend), *simulated]), encoding="utf-8")
    return path


def _config(directory: Path, settings: UpSettings) -> Path | None:
    if settings.config:
        return Path(settings.config)
    if settings.cluster != "override_host":
        return None  # ORIGINAL_DST cannot read a list
    path = directory / "config.yaml"
    path.write_text(fallback_config(), encoding="utf-8")
    return path
