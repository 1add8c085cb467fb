"""BasicSR's optimizers, schedules and lengths in our terms."""

from typing import Any, Literal

from sr.errors import UserError
from sr.options.basicsr.networks import keeps_discriminator
from sr.options.basicsr.reader import BasicSRReader

_OPTIMIZERS = {"Adam": "Adam", "AdamW": "AdamW"}
_SCHEDULES = {
    "MultiStepLR": "multi_step",
    "MultiStepRestartLR": "multi_step",
    "CosineAnnealingRestartLR": "cosine",
}


def translate_train(reader: BasicSRReader, *, adversarial: bool) -> dict[str, Any]:
    """`train`, `path` and the interval of checkpoints as our `train`."""
    steps = reader.read_int("train.total_iter")
    made: dict[str, Any] = {"steps": steps}
    made |= _translate_initial(reader, "generator")
    optimizer = _translate_optimizer(reader, "train.optim_g")
    made["optimizer"] = optimizer
    made["schedule"] = _translate_schedule(reader, steps, optimizer["learning_rate"])
    if adversarial:
        made["gan"] = _translate_gan(reader, made["schedule"], optimizer["learning_rate"])
    made["ema_decay"] = reader.read_float("train.ema_decay", 0.0)
    if reader.has("logger.save_checkpoint_freq"):
        made["checkpoint_interval"] = reader.read_int("logger.save_checkpoint_freq")
    return made


def _translate_initial(
    reader: BasicSRReader, network: Literal["generator", "discriminator"]
) -> dict[str, Any]:
    """Translate the file of a network's initial weights, and whether all of them must fit."""
    letter = network[0]
    key, older = f"path.pretrain_network_{letter}", f"path.pretrain_model_{letter}"
    strict, older_strict = f"path.strict_load_{letter}", "path.strict_load"
    if not reader.has(key):
        key, older = older, key
    if not reader.has(strict):
        strict, older_strict = older_strict, strict
    found = reader.read_str(key) if reader.has(key) else None
    is_strict = reader.read_bool(strict, True)
    reader.expect(key, found, "")
    reader.expect(older, None, f"{key} counts")
    reader.expect(older_strict, is_strict, f"{strict} counts")
    if found is None:
        return {}
    made: dict[str, Any] = {f"initial_{network}": found}
    if not is_strict:
        made["initial_partial"] = True
    return made


def _translate_optimizer(reader: BasicSRReader, section: str) -> dict[str, Any]:
    kind = reader.read_choice(f"{section}.type", _OPTIMIZERS)
    if (rate := reader.read_float(f"{section}.lr")) <= 0:
        raise UserError(f"{section}.lr: expected a number above 0, got {rate}")
    made: dict[str, Any] = {"type": kind, "learning_rate": rate}
    given = reader.has(f"{section}.betas")
    made["betas"] = reader.read_floats(f"{section}.betas") if given else [0.9, 0.999]  # PyTorch's
    if kind == "AdamW":
        made["weight_decay"] = reader.read_float(f"{section}.weight_decay", 0.01)  # PyTorch's
    else:
        reader.expect(f"{section}.weight_decay", 0, "Adam has none here; AdamW has a decoupled one")
    return made


def _translate_schedule(reader: BasicSRReader, steps: int, learning_rate: float) -> dict[str, Any]:
    section = "train.scheduler"
    made: dict[str, Any] = {"type": reader.read_choice(f"{section}.type", _SCHEDULES)}
    made["warmup_steps"] = max(0, reader.read_int("train.warmup_iter", -1))
    if made["type"] == "cosine":
        made["final_factor"] = reader.read_float(f"{section}.eta_min", 0.0) / learning_rate
        periods = reader.read_ints(f"{section}.periods")
        weights = [1.0]
        if reader.has(f"{section}.restart_weights"):
            weights = reader.read_floats(f"{section}.restart_weights")
        if periods != [steps] or weights != [1] or made["warmup_steps"]:
            return {
                **made,
                "type": "cosine_restarts",
                "periods": periods,
                "restart_factors": weights,
            }
        return made
    milestones = reader.read_ints(f"{section}.milestones")
    made["milestones"] = sorted(set(milestones))
    if len(made["milestones"]) < len(milestones):
        reader.warn(f"{section}.milestones", "each counts once here")
    made["gamma"] = reader.read_float(f"{section}.gamma", 0.1)
    for key, plain in (("restarts", [0]), ("restart_weights", [1])):
        reader.expect(f"{section}.{key}", plain, "the schedule does not start again here")
    return made


def _translate_gan(
    reader: BasicSRReader, schedule: dict[str, Any], learning_rate: float
) -> dict[str, Any]:
    optimizer = _translate_optimizer(reader, "train.optim_d")
    made: dict[str, Any] = {"optimizer": optimizer}
    initial = _translate_initial(reader, "discriminator")
    if keeps_discriminator(reader):
        made |= initial
    elif initial:
        reader.warn(
            "path.pretrain_network_d",
            "the discriminator is another one here, with other weights, and starts untrained; "
            "train.gan.lead_steps helps",
        )
    final = schedule.get("final_factor")
    if final and optimizer["learning_rate"] != learning_rate:  # eta_min is a learning rate
        factor = final * learning_rate / optimizer["learning_rate"]
        made["schedule"] = {**schedule, "final_factor": factor}
    if lead := reader.read_int("train.net_d_init_iters", 0):
        made["lead_steps"] = lead
        reader.warn(
            "train.net_d_init_iters",
            "taken over as gan.lead_steps, in which the generator learns from the other terms; "
            "theirs stands still",
        )
    if (updates := reader.read_int("train.net_d_iters", 1)) != 1:
        made["updates"] = updates
        reader.warn(
            "train.net_d_iters",
            "taken over as gan.updates; a step here is an update of the generator, theirs one of "
            f"the discriminator: divide steps, milestones and intervals by {updates} for the same "
            "run",
        )
    return made
