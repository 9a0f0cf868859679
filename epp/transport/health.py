"""grpc.health.v1: Check, List and Watch over one question, whether the picker is ready.

Served in plaintext on the health port always, and on the ext_proc port if asked for there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from epp.errors import ProtocolError
from epp.transport import ext_proc
from epp.transport.calls import Call, Method
from epp.wire.health import ServingStatus, decode_health_check, encode_health_check, encode_health_list

SERVICE = "grpc.health.v1.Health"

# What probes ask for where there is leader election (the reference's charts).
_LIVENESS, _READINESS = "liveness", "readiness"

# How often a watch looks, in seconds: as often as a probe may (Kubernetes' shortest period is 1 s).
WATCH_INTERVAL = 1.0


def serving_status(service: str, *, ready: bool, elected: bool = False) -> ServingStatus:
    """What a check of `service` is answered, as the reference does; `elected`: there is leader election.

    | leader election | service | ready | not ready |
    |---|---|---|---|
    | off | any, known or not, "" included | SERVING | NOT_SERVING |
    | on | `liveness` | SERVING | SERVING |
    | on | `readiness`, "", ext_proc's | SERVING | NOT_SERVING |
    | on | others | SERVICE_UNKNOWN | SERVICE_UNKNOWN |

    Any name without it, because probes in the field ask for several (`inference-extension` among them) and a
    strict answer once took their pods out of service. With it a picker that does not lead is not ready, but
    alive, and probes have to tell the two apart.
    """
    if elected and service == _LIVENESS:
        return ServingStatus.SERVING
    if elected and service not in ("", _READINESS, ext_proc.SERVICE):
        return ServingStatus.SERVICE_UNKNOWN
    return ServingStatus.SERVING if ready else ServingStatus.NOT_SERVING


class Health:
    """The health service. `ready()` is asked for each answer, so it is never out of date.

    `elected`: there is leader election.
    """

    def __init__(
        self, ready: Callable[[], bool], *, elected: bool = False, watch_interval: float = WATCH_INTERVAL
    ) -> None:
        self._ready = ready
        self._elected = elected
        self._watch_interval = watch_interval
        self._stopped = asyncio.Event()

    def methods(self) -> dict[str, Method]:
        """The methods of the service by path."""
        return {
            f"/{SERVICE}/Check": self._check,
            f"/{SERVICE}/List": self._list,
            f"/{SERVICE}/Watch": self._watch,
        }

    def stop(self) -> None:
        """End every watch, after a last report: a server that drains would wait for them in vain."""
        self._stopped.set()

    def _status(self, service: str) -> ServingStatus:
        return serving_status(service, ready=self._ready(), elected=self._elected)

    async def _check(self, call: Call) -> None:
        await call.write([encode_health_check(self._status(await _service(call)))])

    async def _list(self, call: Call) -> None:
        await call.read()
        services = (ext_proc.SERVICE, _LIVENESS, _READINESS) if self._elected else (ext_proc.SERVICE,)
        await call.write([encode_health_list({service: self._status(service) for service in services})])

    async def _watch(self, call: Call) -> None:
        service = await _service(call)
        await asyncio.sleep(0)  # `_pause` needs a task
        told = None
        while True:
            stopped = self._stopped.is_set()
            if (status := self._status(service)) is not told:
                await call.write([encode_health_check(status)])
                told = status
            if stopped:
                return
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._watch_interval):
                await self._stopped.wait()
        except TimeoutError:
            pass


async def _service(call: Call) -> str:
    data = await call.read()
    if data is None:
        raise ProtocolError("the call ended before its request")
    return decode_health_check(data)
