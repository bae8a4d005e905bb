"""The vocabulary: a SentencePiece model, the blank's place, and a hash that two sides must share.

Ids 0..V-1 are the model's own; blank_id = V, so CTC log-probs have V+1 columns (NeMo's convention).
In decoder distributions column V means end of sentence: a decoder never emits the blank.
"""

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import sentencepiece

from kdspeech.errors import VocabularyError
from kdspeech.files import atomic_path, sha256_of_text, write_text

MODEL_NAME = "tokenizer.model"


class Vocabulary:
    """A SentencePiece model with the project's id layout."""

    def __init__(self, processor: sentencepiece.SentencePieceProcessor) -> None:
        self._processor = processor
        self.pieces: tuple[str, ...] = tuple(processor.id_to_piece(i) for i in range(processor.get_piece_size()))
        scores = (f"{piece}\t{processor.get_score(i):.6g}" for i, piece in enumerate(self.pieces))
        self.sha256: str = sha256_of_text("\n".join(scores))
        self.special_ids: frozenset[int] = frozenset(  # pieces that stand for no text
            i
            for i in range(len(self.pieces))
            if processor.is_unknown(i) or processor.is_control(i) or processor.is_unused(i)
        )

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Loads a .model file, or the one in a tokenizer folder.

        Raises:
            VocabularyError: there is none, or SentencePiece cannot read it.
        """
        file = path / MODEL_NAME if path.is_dir() else path
        if not file.exists():
            raise VocabularyError(f"{file} does not exist. Run `kdspeech prepare`, or name a SentencePiece model.")
        try:
            return cls(sentencepiece.SentencePieceProcessor(model_file=str(file)))
        except (OSError, RuntimeError) as error:
            raise VocabularyError(f"{file} is not a SentencePiece model: {error}") from error

    @classmethod
    def train(cls, texts: Iterable[str], size: int, model_type: str = "unigram") -> "Vocabulary":
        """Trains a model in SpeechBrain's id layout: unk 0, bos 1, eos 2, then the pieces.

        Args:
            texts: the sentences; `size` is an upper bound, fewer pieces come of few texts.

        Raises:
            VocabularyError: SentencePiece refuses the texts or the size.
        """
        model = io.BytesIO()
        sentences = sorted(set(texts))
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                vocab_size=size,
                model_type=model_type,
                hard_vocab_limit=False,
                character_coverage=1.0,
                unk_id=0,
                bos_id=1,
                eos_id=2,
                pad_id=-1,
                num_threads=1,  # the same pieces on every machine
                minloglevel=2,
            )
        except (OSError, RuntimeError) as error:
            raise VocabularyError(
                f"SentencePiece cannot train {size} {model_type} pieces on {len(sentences)} texts: {error}"
            ) from error
        return cls(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()))

    @property
    def size(self) -> int:
        """V, the number of pieces, without the blank."""
        return len(self.pieces)

    @property
    def blank_id(self) -> int:
        """The CTC blank's column, V; in decoder distributions the end of sentence."""
        return self.size

    @property
    def end_id(self) -> int:
        """Column V read as a decoder's: begin of sentence in its inputs, end of sentence in its outputs."""
        return self.size

    @property
    def num_columns(self) -> int:
        """Columns of a log-prob row, V+1."""
        return self.size + 1

    def check_columns(self, num_columns: int) -> None:
        """Refuses log-probs of another vocabulary's width.

        Raises:
            VocabularyError: there are not V+1 columns.
        """
        if num_columns != self.num_columns:
            raise VocabularyError(
                f"log-probs have {num_columns} columns, the vocabulary (sha256 {self.sha256[:12]}) needs "
                f"{self.num_columns}: {self.size} pieces and the blank. They come from a model with another vocabulary."
            )

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        return list(self._processor.encode(text))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of token ids; ids outside 0..V-1 are an error, not a shift by one.

        Raises:
            VocabularyError: an id outside the vocabulary.
        """
        for token in token_ids:
            if not 0 <= token < self.size:
                raise VocabularyError(
                    f"token id {token} is outside the vocabulary (0..{self.size - 1}; blank is {self.blank_id}, "
                    "never decoded). The ids come from another vocabulary or are shifted."
                )
        return str(self._processor.decode(list(token_ids)))

    def check_round_trip(self, texts: Iterable[str]) -> None:
        """Checks decode(encode(text)) == text for every distinct text; every run starts with it.

        Raises:
            VocabularyError: names the texts that come back changed.
        """
        changed = [
            f"{text!r} -> {back!r}" for text in dict.fromkeys(texts) if (back := self.decode(self.encode(text))) != text
        ]
        if changed:
            raise VocabularyError(
                f"{len(changed)} texts do not survive the vocabulary (sha256 {self.sha256[:12]}): "
                f"{'; '.join(changed[:5])}. Normalise the texts (case, letters) or use a vocabulary that covers them."
            )

    def check_same(self, other_sha256: str, owner: str) -> None:
        """Refuses an artefact of another vocabulary.

        Raises:
            VocabularyError: the hashes differ.
        """
        if other_sha256 != self.sha256:
            raise VocabularyError(
                f"{owner} uses vocabulary {other_sha256[:12]}, the workspace uses {self.sha256[:12]}. "
                "Token ids would mean different pieces. Retrain or dump it again with this workspace's vocabulary; "
                "the kinds `word` and `hypotheses` work across vocabularies."
            )

    def save(self, folder: Path) -> None:
        """Writes NeMo's tokenizer folder: tokenizer.model, tokenizer.vocab and vocab.txt."""
        with atomic_path(folder / MODEL_NAME) as temporary:
            temporary.write_bytes(self._processor.serialized_model_proto())
        rows = [f"{piece}\t{self._processor.get_score(i):g}\n" for i, piece in enumerate(self.pieces)]
        write_text(folder / "tokenizer.vocab", "".join(rows))
        write_text(folder / "vocab.txt", "".join(f"{piece}\n" for piece in self.pieces))


def fewest_frames(tokens: Sequence[int]) -> int:
    """The fewest frames in which CTC can say these tokens: one each, and a blank between equal neighbours."""
    return len(tokens) + sum(left == right for left, right in pairwise(tokens))
