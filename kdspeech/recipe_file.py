"""Reads recipes from YAML with OmegaConf: shared values, overrides, and every fault by its name."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from kdspeech.config import Recipe
from kdspeech.errors import ConfigError


def recipe_names() -> list[str]:
    """The shipped recipes."""
    folder = resources.files("kdspeech.recipes")
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name_or_path: str, overrides: tuple[str, ...] = ()) -> Recipe:
    """Reads a recipe and checks it.

    Args:
        name_or_path: a shipped recipe's name, or a YAML file.
        overrides: KEY=VALUE each, for example ("targets.temperature=4", "stages.*.epochs=3"); * is every one of a list.

    Raises:
        ConfigError: no such recipe, not YAML, an unknown key or a value out of range; every fault is named.
    """
    if name_or_path in recipe_names():
        text = resources.files("kdspeech.recipes").joinpath(f"{name_or_path}.yaml").read_text(encoding="utf-8")
        stem = name_or_path
    elif Path(name_or_path).is_file():
        text, stem = Path(name_or_path).read_text(encoding="utf-8"), Path(name_or_path).stem
    else:
        raise ConfigError(
            f"there is no recipe {name_or_path!r}: neither a YAML file nor one of {', '.join(recipe_names())}."
        )
    try:
        settings = OmegaConf.create(text)
        # Shared values first: they reach wherever they are used. Then each place stands for itself, so that a setting
        # below a shared value changes that place and nothing is lost of the rest.
        _override(settings, [override for override in overrides if override.startswith("anchors.")])
        OmegaConf.resolve(settings)
        _override(settings, [override for override in overrides if not override.startswith("anchors.")])
        values = OmegaConf.to_container(settings, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(f"recipe {name_or_path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"recipe {name_or_path}: expected a mapping at the top, found {type(values).__name__}.")
    values.pop("anchors", None)  # shared values that the recipe interpolates
    try:
        return Recipe.model_validate({"name": stem, **values})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigError(f"recipe {name_or_path}: {faults}") from error


def _override(settings: Any, overrides: Sequence[str]) -> None:
    """Changes settings in place; `stages.*.epochs` stands for every stage."""
    for override in overrides:
        key, _, value = override.partition("=")
        head, star, tail = key.partition(".*.")
        count = len(OmegaConf.select(settings, head) or ()) if star else 0
        for name in [f"{head}.{number}.{tail}" for number in range(count)] if star else [key]:
            OmegaConf.update(settings, name, OmegaConf.from_dotlist([f"value={value}"]).value)
