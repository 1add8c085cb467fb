"""Options of `infer.py` on clusters; see `sr.inference.options`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from sr.errors import UsageError
from sr.inference.flag import MACHINES, Flag
from sr.inference.parse_flags import parse_actors


@dataclass(frozen=True)
class ClusterOptions:
    """Who does the work, where that is not this process."""

    engine: Annotated[Literal["ray"] | None, Flag(MACHINES, names=("--cluster",))] = None
    """Spread the inputs over the machines of a Ray cluster that share the folders, with the extra
    `ray`; or have inputs and results in S3 or Google Cloud Storage (s3://, gs://), with the extra
    `s3` or `gcs`. Videos in folders are shared by segments, unless --overwrite is given."""
    address: Annotated[str, Flag(MACHINES, "auto|local|HOST:PORT")] = "auto"
    """With --cluster: where the cluster's head is. auto: in RAY_ADDRESS, else the one that runs on
    this machine, else, as by local, a new one of this machine alone."""
    actors: Annotated[
        tuple[int, int] | None,
        Flag(MACHINES, "N|MIN-MAX", default="1 to as many as fit", parse=parse_actors),
    ] = None
    """With --cluster: processes with a model, on all machines together. Above what fits now, for
    clusters that grow."""
    gpus_per_actor: Annotated[
        float | None, Flag(MACHINES, "N", default="1 if the cluster has GPUs, else 0")
    ] = None
    """With --cluster: GPUs of each of these processes; 0.5 lets two share one."""
    cpus_per_actor: Annotated[
        float | None,
        Flag(MACHINES, "N", default="1 with a GPU, else those of the smallest machine, at most 8"),
    ] = None
    """With --cluster: cores of each of these processes, as Ray counts them, and threads."""

    def __post_init__(self) -> None:
        for name in ("gpus_per_actor", "cpus_per_actor"):
            value = getattr(self, name)
            if value is not None and value < 0:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {value:g}: expected a number, 0 or more")
        given = (self.address != "auto", self.actors, self.gpus_per_actor, self.cpus_per_actor)
        if self.engine is None and given != (False, None, None, None):
            raise UsageError(
                "--address, --actors, --gpus-per-actor and --cpus-per-actor: need --cluster ray"
            )
        if self.address.startswith("ray://"):
            raise UsageError(
                f"--address {self.address}: expected HOST:PORT of the cluster's head, or auto on a"
                " machine of the cluster, such as by `ray job submit`; not a Ray client"
            )
