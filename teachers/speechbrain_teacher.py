"""A SpeechBrain model as a teacher: EncoderDecoderASR (CTC head and attention decoder) or EncoderASR (CTC).

Padding changes every frame of a SpeechBrain Conformer, so utterances are scored one by one.
Symbols: T frames, U decoder positions (tokens + end of sentence), C columns of the model, D model size, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch

from kdspeech.audio import SAMPLE_RATE
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.errors import TeacherError
from kdspeech.protocols import ScoredText, TeacherCard, TeacherScores
from kdspeech.teachers.conformer import HYPERPARAMS_NAME, checkpoint_sha256
from kdspeech.teachers.layout import ColumnMap, check_num_frames
from kdspeech.teachers.toolkits import import_speechbrain, load_errors
from kdspeech.vocabulary import Vocabulary

_PROBE_S = (4, 8)  # lengths by which an unknown encoder's frame shift is measured


class SpeechBrainTeacher:
    """Implements `kdspeech.protocols.Teacher`."""

    def __init__(self, source: str, teacher_id: str) -> None:
        """Loads a model.

        Args:
            source: a folder with hyperparams.yaml, or a published name.

        Raises:
            TeacherError: it cannot be loaded, or lacks what a teacher needs.
        """
        self._name = f"teacher {teacher_id} ({source})"
        self._model, hyperparams = _load(source, self._name)
        tokenizer = self._model.hparams.tokenizer
        if not isinstance(tokenizer, sentencepiece.SentencePieceProcessor):
            raise TeacherError(
                f"{self._name}: its tokenizer is a {type(tokenizer).__name__}; expected a SentencePiece model. "
                "Use a model with subword units."
            )
        self.vocabulary = Vocabulary(tokenizer)
        parts = {name: Path(path) for name, path in self._model.hparams.pretrainer.paths.items()}
        checkpoint = checkpoint_sha256(hyperparams, parts)
        self.card = TeacherCard(teacher_id, "speechbrain", source, None, checkpoint, self.vocabulary.sha256)
        self._attention = hasattr(self._model.mods, "decoder")  # EncoderDecoderASR, not EncoderASR
        self._searcher = self._greedy_searcher()
        self._ctc_layout: ColumnMap | None = None  # made when the first rows show how many columns the head has
        self._decoder_layout: ColumnMap | None = None
        with torch.inference_mode():
            self.frame_shift_s = self._frame_shift_s()

    def score(self, waveforms: Sequence[np.ndarray], token_ids: Sequence[Sequence[int]]) -> list[TeacherScores]:
        """Scores utterances; see `kdspeech.protocols.Teacher.score`.

        Raises:
            TeacherError, VocabularyError: the output does not fit the vocabulary or the audio.
        """
        with torch.inference_mode():
            return [self._score_one(w, tuple(ids)) for w, ids in zip(waveforms, token_ids, strict=True)]

    def _score_one(self, waveform: np.ndarray, token_ids: tuple[int, ...]) -> TeacherScores:
        encoded = self._encode(torch.from_numpy(waveform)[None])  # [1, T, D] or, of an EncoderASR, [1, T, C]
        check_num_frames(self._name, encoded.shape[1], len(waveform), self.frame_shift_s)
        ctc = self._ctc_log_probs(encoded)
        decoder = self._decoder_log_probs(encoded, token_ids)
        hypotheses = []
        if ctc is not None:
            best = greedy_ctc(torch.from_numpy(ctc)[None], torch.tensor([len(ctc)]), self.vocabulary)[0]
            hypotheses.append(ScoredText(best.text, best.log_prob, "ctc"))
        if self._attention:
            hypotheses.append(self._decoder_hypothesis(encoded))
        hypotheses.sort(key=lambda hypothesis: -hypothesis.score)
        return TeacherScores(ctc, decoder, tuple(hypotheses))

    def _encode(self, waveforms: torch.Tensor) -> torch.Tensor:
        """[B, N] of one length -> [B, T, D], by SpeechBrain's own path."""
        encoded: torch.Tensor = self._model.encode_batch(waveforms, torch.ones(len(waveforms)))
        return encoded

    def _ctc_log_probs(self, encoded: torch.Tensor) -> np.ndarray | None:
        """[1, T, D] -> [T, V+1]; None without a CTC head."""
        hparams = self._model.hparams
        if not self._attention:
            rows = encoded[0]  # an EncoderASR ends in log-probs by convention; the layout checks that it does
        elif hasattr(hparams, "ctc_lin"):
            rows = hparams.ctc_lin(encoded)[0].float().log_softmax(-1)
        else:
            return None
        if self._ctc_layout is None:
            owner, blank = f"{self._name}, CTC head", self._index("blank_index")
            self._ctc_layout = ColumnMap.for_ctc(owner, self.vocabulary, rows.shape[-1], blank)
        return self._ctc_layout.apply(rows.cpu().numpy())

    def _decoder_log_probs(self, encoded: torch.Tensor, token_ids: tuple[int, ...]) -> np.ndarray | None:
        """[1, T, D] and U-1 tokens -> [U, V+1], teacher-forced; None without a Transformer decoder."""
        if self._searcher is None:
            return None
        inputs = torch.tensor([[self._index("bos_index"), *token_ids]], device=encoded.device)  # [1, U]
        hidden, _ = self._model.mods.transformer.decode(inputs, encoded)  # [1, U, D]
        rows = self._model.hparams.seq_lin(hidden)[0].float().log_softmax(-1)  # [U, C]
        if self._decoder_layout is None:
            owner, end = f"{self._name}, decoder", self._index("eos_index")
            self._decoder_layout = ColumnMap.for_decoder(owner, self.vocabulary, rows.shape[-1], end)
        return self._decoder_layout.apply(rows.cpu().numpy())

    def _decoder_hypothesis(self, encoded: torch.Tensor) -> ScoredText:
        """Greedy search where the decoder is a Transformer, otherwise the model's own search."""
        relative = torch.ones(1, device=encoded.device)
        if self._searcher is None:
            found, _, scores, _ = self._model.mods.decoder(encoded, relative)
            return ScoredText(self.vocabulary.decode(list(found[0])), float(scores.flatten()[0]), "decoder")
        found, _, _, _ = self._searcher(encoded, relative)
        token_ids = tuple(int(token) for token in found[0])
        rows = self._decoder_log_probs(encoded, token_ids)
        assert rows is not None  # there is a searcher only where there is a decoder
        path = (*token_ids, self.vocabulary.end_id)
        return ScoredText(self.vocabulary.decode(token_ids), float(rows[range(len(path)), path].sum()), "decoder")

    def _greedy_searcher(self) -> Any:
        """SpeechBrain's greedy search over a Transformer decoder; None if the model has none."""
        from speechbrain.decoders import S2STransformerGreedySearcher

        transformer = getattr(self._model.mods, "transformer", None)
        if not (self._attention and hasattr(transformer, "decode") and hasattr(self._model.hparams, "seq_lin")):
            return None
        return S2STransformerGreedySearcher(
            modules=[transformer, self._model.hparams.seq_lin],
            bos_index=self._index("bos_index"),
            eos_index=self._index("eos_index"),
            min_decode_ratio=0.0,
            max_decode_ratio=1.0,  # tokens per encoder frame
        ).eval()

    def _index(self, name: str) -> int:
        value = getattr(self._model.hparams, name, None)
        if value is None:
            raise TeacherError(f"{self._name}: its {HYPERPARAMS_NAME} names no {name}. Add it: the layout hangs on it.")
        return int(value)

    def _frame_shift_s(self) -> float:
        """Seconds between two encoder frames: the product of the strides, or measured where a module hides its own."""
        strides = 1
        for name, module in self._model.mods.encoder.named_children():
            if hasattr(module, "get_filter_properties"):
                strides *= int(module.get_filter_properties().stride)
            elif name not in ("normalize", "transformer_encoder"):
                return self._measured_frame_shift_s()
        return strides / SAMPLE_RATE

    def _measured_frame_shift_s(self) -> float:
        short, long = (self._encode(torch.zeros(1, s * SAMPLE_RATE)).shape[1] for s in _PROBE_S)
        if long <= short:
            raise TeacherError(f"{self._name}: {_PROBE_S[1]} s of audio give no more frames than {_PROBE_S[0]} s.")
        return (_PROBE_S[1] - _PROBE_S[0]) / (long - short)


def _load(source: str, name: str) -> tuple[Any, Path]:
    """Loads a model by SpeechBrain's own interface.

    Returns:
        The EncoderDecoderASR or EncoderASR, and the path of its hyperparams.yaml.

    Raises:
        TeacherError: it is missing, unreachable, not whole, or a kind that cannot teach.
    """
    import_speechbrain()
    from speechbrain.inference.ASR import EncoderASR, EncoderDecoderASR
    from speechbrain.utils.fetching import LocalStrategy, fetch

    try:
        hyperparams = Path(fetch(HYPERPARAMS_NAME, source, local_strategy=LocalStrategy.NO_LINK))
        text = hyperparams.read_text(encoding="utf-8")
        interface = EncoderASR if re.search(r"^decoding_function:", text, re.MULTILINE) else EncoderDecoderASR
        model = interface.from_hparams(source, savedir=None, local_strategy=LocalStrategy.NO_LINK)
    except load_errors() as error:
        raise TeacherError(
            f"{name} cannot be loaded as a SpeechBrain model: {error}. Expected a folder with {HYPERPARAMS_NAME}, "
            "its .ckpt files and tokenizer, or a published name that can be reached."
        ) from error
    if getattr(model, "transducer_beam_search", False):
        raise TeacherError(f"{name} is a transducer: it gives no log-probs per frame. Use a CTC or attention model.")
    rate = getattr(model.hparams, "sample_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise TeacherError(f"{name} was made for audio at {rate} Hz; expected {SAMPLE_RATE} Hz. Use another model.")
    return model.eval(), hyperparams
