"""The hybrid student: one encoder, a CTC head and a Transformer decoder.

Shapes: B batch, N samples, T frames, U decoder positions, V vocabulary, D encoder size, E decoder size.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from kdspeech.config import StudentConfig
from kdspeech.errors import ConfigError
from kdspeech.model_folders.student_folder import is_student_folder, read_student
from kdspeech.protocols import Encoded, StudentOutput
from kdspeech.students.encoders import MelEncoder, StartingPoint, build_encoder
from kdspeech.vocabulary import Vocabulary


class TransformerDecoder(nn.Module):
    """A causal pre-norm Transformer (Vaswani 2017, 1706.03762) that attends to the encoder's valid frames."""

    def __init__(self, config: StudentConfig, encoder_size: int, num_columns: int) -> None:
        super().__init__()
        size = config.decoder_size or encoder_size
        if size % config.decoder_heads or size % 2:
            raise ConfigError(
                f"the decoder's size {size} must be even and divisible by student.decoder_heads={config.decoder_heads}."
            )
        self.size = size
        self.adapter = nn.Identity() if size == encoder_size else nn.Linear(encoder_size, size)
        self.embedding = nn.Embedding(num_columns, size)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self.dropout = nn.Dropout(config.decoder_dropout)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                size,
                config.decoder_heads,
                config.decoder_feed_forward,
                config.decoder_dropout,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.output = nn.Linear(size, num_columns)

    def forward(self, states: torch.Tensor, num_frames: torch.Tensor, decoder_inputs: torch.Tensor) -> torch.Tensor:
        """states [B, T, D], num_frames [B], decoder_inputs int64 [B, U] -> log-probs [B, U, V+1]."""
        num_positions = decoder_inputs.shape[1]
        embedded = self.embedding(decoder_inputs) * math.sqrt(self.size)  # [B, U, E]
        hidden = self.dropout(embedded + _sinusoids(num_positions, self.size, embedded.device))
        memory = self.adapter(states)  # [B, T, E]
        frames = torch.arange(states.shape[1], device=states.device)
        beyond = frames >= num_frames.clamp(min=1)[:, None]  # [B, T]; attention over no frame at all would be NaN
        future = torch.ones(num_positions, num_positions, dtype=torch.bool, device=states.device).triu(1)  # [U, U]
        for layer in self.layers:
            hidden = layer(hidden, memory, tgt_mask=future, memory_key_padding_mask=beyond)
        return F.log_softmax(self.output(self.norm(hidden)).float(), dim=-1)


def _sinusoids(num_positions: int, size: int, device: torch.device) -> torch.Tensor:
    """Position embeddings [U, E] of Vaswani 2017, section 3.5."""
    rates = torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10_000.0) / size))
    angles = torch.arange(num_positions, device=device)[:, None] * rates  # [U, E/2]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class HybridStudent(nn.Module):
    """Encoder, CTC head and Transformer decoder; implements `kdspeech.protocols.Student`."""

    def __init__(self, vocabulary: Vocabulary, start: StartingPoint) -> None:
        super().__init__()
        self.config: StudentConfig = start.config  # rebuilds this architecture without any checkpoint
        self.vocabulary = vocabulary
        self.encoder: MelEncoder = start.encoder
        self.frame_shift_s: float = start.encoder.frame_shift_s
        self.ctc_head = nn.Linear(start.encoder.size, vocabulary.num_columns)
        self.decoder = TransformerDecoder(start.config, start.encoder.size, vocabulary.num_columns)
        if start.ctc_weight is not None and start.ctc_bias is not None:
            with torch.no_grad():
                self.ctc_head.weight.copy_(start.ctc_weight)
                self.ctc_head.bias.copy_(start.ctc_bias)
        self.intermediate_head: nn.Linear | None = None  # made last: without it, the other weights are the same
        if start.config.intermediate_layer is not None:
            self.intermediate_head = nn.Linear(start.encoder.size, vocabulary.num_columns)

    def parts(self) -> Mapping[str, nn.Module]:
        """What a stage can train or freeze."""
        heads: nn.Module = self.ctc_head
        if self.intermediate_head is not None:
            heads = nn.ModuleList([self.ctc_head, self.intermediate_head])
        return {"encoder": self.encoder, "ctc_head": heads, "decoder": self.decoder}

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        """Encoder frames of utterances of `lengths` samples; int64 [B]."""
        return self.encoder.num_frames(lengths)

    def encode(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Encoded:
        """waveforms [B, N] at 16 kHz, lengths int64 [B] in samples -> states [B, T, D]."""
        encoded: Encoded = self.encoder(waveforms, lengths)
        return encoded

    def ctc_log_probs(self, encoded: Encoded) -> torch.Tensor:
        """[B, T, V+1], blank last."""
        return F.log_softmax(self.ctc_head(encoded.states).float(), dim=-1)

    def decoder_log_probs(self, encoded: Encoded, decoder_inputs: torch.Tensor) -> torch.Tensor:
        """Log-probs of the next token at each position, column V = end of sentence.

        Args:
            decoder_inputs: int64 [B, U]; column 0 is V (begin of sentence), padding is V too.

        Returns:
            [B, U, V+1]; position u depends on inputs 0..u only.
        """
        log_probs: torch.Tensor = self.decoder(encoded.states, encoded.num_frames, decoder_inputs)
        return log_probs

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor, decoder_inputs: torch.Tensor | None = None
    ) -> StudentOutput:
        """All of it; without `decoder_inputs` the decoder does not run."""
        encoded = self.encode(waveforms, lengths)
        return StudentOutput(
            ctc_log_probs=self.ctc_log_probs(encoded),
            num_frames=encoded.num_frames,
            decoder_log_probs=None if decoder_inputs is None else self.decoder_log_probs(encoded, decoder_inputs),
            intermediate_log_probs=self._intermediate_log_probs(encoded),
            encoded=encoded,
        )

    def _intermediate_log_probs(self, encoded: Encoded) -> torch.Tensor | None:
        """[B, T, V+1] of the head in the middle (Lee & Watanabe 2021; Yoon et al. 2022), which training alone hears."""
        if self.intermediate_head is None or encoded.intermediate is None:
            return None
        return F.log_softmax(self.intermediate_head(encoded.intermediate).float(), dim=-1)


def build_hybrid(config: StudentConfig, vocabulary: Vocabulary, seed: int) -> HybridStudent:
    """Builds the student that a recipe describes; the same seed gives the same weights.

    Where `encoder` is a student's folder, all weights are that student's, and the seed has no say but in a head that it
    lacks.

    Raises:
        ConfigError: settings that do not fit together, or a decoder that does not fit the folder's.
        KdspeechError: a checkpoint that is missing or of another kind.
    """
    folder = Path(config.encoder or "")
    saved = read_student(folder) if config.encoder and is_student_folder(folder) else None
    if saved is not None:
        vocabulary.check_same(saved.vocabulary.sha256, str(folder))
        encoder = saved.config.model_dump(include={"encoder", "encoder_config", "num_mels", "preprocessor_config"})
        config = config.model_copy(update=encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = HybridStudent(vocabulary, build_encoder(config, vocabulary))
    if saved is not None:
        weights = {**_own_weights(student), **saved.weights}
        try:
            student.load_state_dict(weights)
        except RuntimeError as error:
            raise ConfigError(f"{folder} holds a student with another decoder than the recipe's: {error}") from error
    return student


def _own_weights(student: HybridStudent) -> dict[str, torch.Tensor]:
    """Weights of the head in the middle, which no teacher has."""
    return {name: value for name, value in student.state_dict().items() if name.startswith("intermediate_head.")}
