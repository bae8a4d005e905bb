"""Reads recipes from YAML with OmegaConf: what they extend, shared values, overrides, and every fault by its name."""

import io
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from kdspeech.config import Recipe
from kdspeech.errors import ConfigError
from kdspeech.files import read_text


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
        ConfigError: no such recipe, not YAML, an unknown key or a value out of range, every fault named; or an override
            that would change nothing.
    """
    settings = _settings_of(name_or_path)
    try:
        # Shared values first: they reach wherever they are used. Then each place stands for itself, so that a setting
        # below a shared value changes that place and nothing is lost of the rest.
        _override(settings, [override for override in overrides if override.startswith("anchors.")])
        OmegaConf.resolve(settings)
        _override(settings, [override for override in overrides if not override.startswith("anchors.")])
        values: Any = OmegaConf.to_container(settings, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(f"recipe {name_or_path}: {error}") from error
    values.pop("anchors", None)  # shared values that the recipe interpolates
    try:
        return Recipe.model_validate({"name": Path(name_or_path).stem, **values})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigError(f"recipe {name_or_path}: {faults}") from error


def _settings_of(name_or_path: str, extending: tuple[str, ...] = ()) -> Any:
    """A recipe's own settings over those of the recipe that it `extends`, which may extend another.

    Sections are merged key by key; lists, such as the stages, and values take the place of those they extend.

    Args:
        extending: the recipes that lead here.

    Raises:
        ConfigError: no such recipe, not YAML, or recipes that extend each other in a circle.
    """
    if name_or_path in recipe_names():
        text = resources.files("kdspeech.recipes").joinpath(f"{name_or_path}.yaml").read_text(encoding="utf-8")
    elif Path(name_or_path).is_file():
        text = read_text(Path(name_or_path))
    else:
        wanted = f"recipe {extending[-1]} extends {name_or_path!r}, but there" if extending else "there"
        raise ConfigError(
            f"{wanted} is no recipe {name_or_path!r}: neither a YAML file nor one of {', '.join(recipe_names())}."
        )
    try:
        settings = OmegaConf.load(io.StringIO(text))
    except (OmegaConfBaseException, YAMLError, OSError) as error:  # OSError: a number alone
        raise ConfigError(f"recipe {name_or_path}: {error}") from error
    if not isinstance(settings, DictConfig):
        raise ConfigError(f"recipe {name_or_path}: expected a mapping at the top, found {type(settings).__name__}.")
    extended = settings.pop("extends", None)
    if extended is None:
        return settings
    if extended not in recipe_names():
        extended = os.path.normpath(Path(name_or_path).parent / str(extended))  # one name a file: circles are seen
    chain = (*extending, name_or_path)
    if extended in chain:
        raise ConfigError(f"recipe {name_or_path} extends itself: {' -> '.join((*chain, extended))}.")
    return OmegaConf.merge(_settings_of(extended, chain), settings)


def _override(settings: Any, overrides: Sequence[str]) -> None:
    """Changes settings in place; `stages.*.epochs` stands for every stage.

    Raises:
        ConfigError: an override that would change nothing, or not what it says.
    """
    for override in overrides:
        key, equals, value = override.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set {override}: no value. Expected KEY=VALUE; {key or 'KEY'}=null sets to nothing.")
        _check_shared(settings, key)
        head, star, tail = key.partition(".*.")
        listed = OmegaConf.select(settings, head) if star else None
        if star and not (isinstance(listed, ListConfig) and len(listed)):
            lists = ", ".join(f"{name}.*.{tail}" for name in settings if _is_list_of_settings(settings, name))
            raise ConfigError(f"--set {override}: {head!r} is no list of this recipe. Expected {lists or 'no *'}.")
        for name in [f"{head}.{number}.{tail}" for number in range(len(listed))] if listed is not None else [key]:
            OmegaConf.update(settings, name, OmegaConf.from_dotlist([f"value={value}"]).value)


def _check_shared(settings: Any, key: str) -> None:
    """A shared value reaches only where the recipe uses it, so that one it does not have would change nothing."""
    part, _, name = key.partition(".")
    if part != "anchors":
        return
    shared = list(OmegaConf.select(settings, "anchors") or ())
    if name.partition(".")[0] not in shared:
        known = ", ".join(f"anchors.{other}" for other in shared)
        raise ConfigError(f"--set {key}: the recipe shares no such value. Expected {known or 'a key without anchors'}.")


def _is_list_of_settings(settings: Any, name: Any) -> bool:
    value = OmegaConf.select(settings, str(name))
    return isinstance(value, ListConfig) and any(isinstance(entry, DictConfig) for entry in value)
