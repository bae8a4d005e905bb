"""`kdspeech pretrain`: an encoder and the teachers' start, from synthetic voices."""

from pathlib import Path

import click

from kdspeech.cli.options import (
    common_options,
    force_option,
    jobs_option,
    recipe_options,
    resolve_recipe,
    seed_option,
)


@click.command("pretrain")
@click.option("--evaluate/--no-evaluate", default=True, help="Score the encoder on every speaker when it is finished.")
@recipe_options
@seed_option
@jobs_option
@force_option
@common_options
def command(
    evaluate: bool,
    recipe: str | None,
    overrides: tuple[str, ...],
    seed: int,
    jobs: int | None,
    force: bool,
    workspace: Path,
) -> None:
    """Train an encoder and the teachers' start on synthetic voices that say the words of the lexicon.

    Needs no download, and hears no speaker of the corpus. Recipes use the models by `student.encoder: pretrained` and
    `teacher.start: pretrained`. What is done is skipped; a killed training goes on after its last epoch.

    \b
    kdspeech pretrain
    kdspeech loso
    """
    from kdspeech import console, students, teachers
    from kdspeech.pretraining.pretrain import pretrain
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    pretrain(
        place,
        recipe=resolve_recipe(place, recipe, overrides),
        students=students,
        teachers=teachers,
        seed=seed,
        jobs=jobs,
        evaluate=evaluate,
        force=force,
    )
    console.result(str(place.pretrained_encoder_path))
