"""The same arrivals through real processes and in virtual time, policy by policy:

    python -m benchmarks.validity sim     Envoy, the picker and the servers of `epp sim`
    python -m benchmarks.validity vllm    Envoy, the picker and two vLLM servers (CPU, a tiny model)

    --policy random my.yaml               names that `epp simulate` knows, or files
    --repeats 3                           each policy so often, in turns: a noisy machine is noisy for all

Prints a table and writes benchmarks/results/validity_sim.json or validity_vllm.json. What only exists in
`epp simulate`, as round-robin and the oracle, cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.validity.comparison import Compared, table
from benchmarks.validity.servers import SERVERS
from benchmarks.validity.worlds import Servers, real, simulated
from epp.errors import ConfigError
from epp.simulate.policies import load_policy
from epp.simulate.workload import Arrival
from epp.simulate.workloads import arrivals

RESULTS = Path(__file__).parents[1] / "results"
POLICIES = ("random", "least-requests", "reference", "sticky-until-saturated", "default")

# By servers: a workload, and arrivals a second at which queues come and go.
_LOADS = {
    "sim": ("shared-prefix:groups=60,prefix=3000,question=600,output=40", 30.0),
    "vllm": ("shared-prefix:groups=40,prefix=384,question=64,output=16", 2.0),
}


async def compare(args: argparse.Namespace) -> tuple[Servers, dict[str, Compared]]:
    """The servers, and every policy in both worlds, `--repeats` times."""
    found = {policy: Compared() for policy in args.policy}
    with TemporaryDirectory(prefix="validity-") as temporary:
        folder = Path(temporary)
        async with SERVERS[args.servers](folder, args.time_scale) as servers:
            for repeat in range(args.repeats):
                for number, (policy, compared) in enumerate(found.items()):
                    run = f"{repeat}-{number}"
                    asked = list(_renamed(arrivals(args.workload, args.requests, args.rate, repeat), run))
                    compared.real.append(await real(policy, servers, asked, folder / run))
                    compared.simulated.append(simulated(policy, servers, asked, repeat))
                    print(run, policy, compared.real[-1], compared.simulated[-1], flush=True)
    return servers, found


def _renamed(drawn: Iterator[Arrival], run: str) -> Iterator[Arrival]:
    """The same with other prompts, which no server has in its cache."""
    for arrival in drawn:
        prompt = tuple(piece._replace(key=f"{run} {piece.key}") for piece in arrival.prompt)
        yield arrival._replace(prompt=prompt)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("servers", choices=SERVERS)
    parser.add_argument("--policy", nargs="+", default=POLICIES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--workload")
    parser.add_argument("--rate", type=float, help="arrivals a second")
    parser.add_argument(
        "--time-scale", type=float, default=1.0, help="of epp sim: 0.5 is half as fast as real"
    )
    args = parser.parse_args()
    workload, rate = _LOADS[args.servers]
    args.workload, args.rate = args.workload or workload, args.rate or rate
    try:
        for policy in args.policy:
            load_policy(policy)
    except ConfigError as error:
        parser.error(str(error))
    servers, found = uvloop.run(compare(args))
    print(f"{table(found)}Outside of engines a request takes {1000 * servers.overhead:.0f} ms.")
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    result = {
        "settings": vars(args),
        "overhead_seconds": servers.overhead,
        "machine": f"{os.cpu_count()} cores, load {load} at the end, Python {platform.python_version()}",
        "policies": {policy: asdict(compared) for policy, compared in found.items()},
    }
    (RESULTS / f"validity_{args.servers}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
