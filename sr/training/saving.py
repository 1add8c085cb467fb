"""What a run leaves in its folder at a checkpoint and at a validation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from sr.build import find_receptive_radius
from sr.build_data import build_clips_metadata
from sr.io.model_file import write_model_file
from sr.models.teacher import Teacher
from sr.options.schema import Options
from sr.training.checkpoint import model_path, prune, state_path, write_state
from sr.training.run_folder import hardware
from sr.training.state import Trainee, state_of


@dataclass(frozen=True)
class Checkpoints:
    """Where checkpoints go and what their metadata says next to the step."""

    folder: Path
    keep_last: int
    metadata: dict[str, Any]

    def write_model(self, trainee: Trainee, path: Path) -> None:
        """The averaged weights, ready for infer.py."""
        metadata = {**self.metadata, "step": trainee.step}
        write_model_file(path, trainee.ema.network.state_dict(), metadata)

    def path_of(self, step: int) -> Path:
        """Model file of a step."""
        return model_path(self.folder, step)

    def write_best(self, trainee: Trainee) -> None:
        """The averaged weights of the best validation so far."""
        self.write_model(trainee, self.folder / "best.safetensors")

    def save(self, trainee: Trainee, accelerator: Accelerator) -> None:
        """Model and state of the step, the state last: where it is, the model is too.

        Of earlier checkpoints the last ones stay, and the last without an alarm of the watch over
        adversarial training.
        """
        kept: list[int | None] = []
        if trainee.adversarial is not None:
            health = trainee.adversarial.health
            if not health.alarms:
                health.last_healthy = trainee.step
            kept = [health.last_healthy]
        self.write_model(trainee, self.path_of(trainee.step))
        state = state_of(trainee, accelerator)
        state["options"] = self.metadata["options"]
        write_state(state_path(self.folder, trainee.step), state)
        prune(self.folder, self.keep_last, kept)


def make_checkpoints(
    options: Options, folder: Path, device: torch.device, teacher: Teacher | None = None
) -> Checkpoints:
    """The place of a run's checkpoints, with what a model file says of itself."""
    data = options.datasets.train
    metadata = {
        "generator": options.generator.model_dump(mode="json"),
        "scale": options.scale,
        **build_clips_metadata(options),
        "ema": options.train.ema_decay > 0,
        "receptive_radius": find_receptive_radius(options.generator, options.scale),
        "training_data": data.description,
        "licence": data.licence,
        **({} if teacher is None else {"teacher": teacher.description}),
        "hardware": hardware(device),
        "options": options.model_dump(mode="json", by_alias=True),
    }
    return Checkpoints(folder / "checkpoints", options.train.keep_last, metadata)
