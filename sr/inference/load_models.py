"""Model files -> the one generator that they make."""

from sr.inference.named_files import ModelFiles
from sr.models.composite import blend_generators, chain_generators, make_resampler
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator


def load_models(files: ModelFiles) -> LoadedGenerator:
    """Load models, and put them together. Raises ModelFileError for what is none or cannot be."""
    if files.resample is not None:
        return make_resampler(*files.resample)
    generator = chain_generators([load_generator(path) for path in files.chain])
    if files.strength == 1:
        return generator
    if files.strength_with is None:
        other = make_resampler(generator.scale, "bicubic")
    else:
        other = load_generator(files.strength_with)
    return blend_generators(generator, other, files.strength)
