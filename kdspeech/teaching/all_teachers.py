"""Foreign models and students of one speaker as one family: whoever loads a teacher need not know which it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kdspeech.choices import NEMO
from kdspeech.config import TeacherConfig
from kdspeech.model_folders.student_folder import is_student_folder
from kdspeech.model_folders.teacher_folder import (
    CARD_NAME,
    OWN_FOLDER,
    check_card,
    read_teacher_card,
    write_teacher_card,
)
from kdspeech.protocols import StudentFamily, Teacher, TeacherFamily
from kdspeech.teaching.student_teacher import StudentTeacher
from kdspeech.teaching.train_student_teacher import train_student_teacher
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary


@dataclass(frozen=True)
class AllTeachers:
    """A `kdspeech.protocols.TeacherFamily`."""

    foreign: TeacherFamily  # the module `kdspeech.teachers`
    students: StudentFamily  # the module `kdspeech.students`

    def load_teacher(self, folder: Path) -> Teacher:
        """Loads a teacher by its `teacher.json`.

        Raises:
            KdspeechError: no card, an unknown backend, or the model is not the one that the card describes.
        """
        card = read_teacher_card(folder)
        place = folder if card.source == OWN_FOLDER else Path(card.source)
        if not is_student_folder(place):
            return self.foreign.load_teacher(folder)
        teacher = StudentTeacher(place, card.teacher_id, self.students)
        check_card(card, teacher.card, str(place))
        teacher.card = card
        return teacher

    def register_teacher(self, speaker: str, source: str, folder: Path) -> None:
        """Writes `teacher.json` for a teacher of the user's own; a NeMo teacher of another workspace is a folder."""
        place = Path(source.removeprefix(f"{NEMO}:")).expanduser().resolve()
        if not is_student_folder(place):
            self.foreign.register_teacher(speaker, source, folder)
            return
        card = StudentTeacher(place, speaker, self.students).card
        if (place / CARD_NAME).exists():
            card = replace(card, speakers=read_teacher_card(place).speakers)
        write_teacher_card(folder, card)

    def train_initial(self, config: TeacherConfig, vocabulary: Vocabulary, folder: Path, seed: int) -> None:
        """The start of SpeechBrain teachers; that of NeMo teachers is the student's: `common_start`."""
        self.foreign.train_initial(config, vocabulary, folder, seed)

    def train_teacher(
        self,
        config: TeacherConfig,
        vocabulary: Vocabulary,
        initial: Path,
        folder: Path,
        speaker: str,
        train: Sequence[Utterance],
        valid: Sequence[Utterance],
        seed: int,
    ) -> None:
        """Trains one speaker's teacher of the backend that `config` names."""
        if config.backend == NEMO:
            data = (vocabulary, initial, folder, speaker, train, valid, seed)
            train_student_teacher(self.students, config, *data)
        else:
            self.foreign.train_teacher(config, vocabulary, initial, folder, speaker, train, valid, seed)
