"""One small truth in every form that systems write it."""

import json
from pathlib import Path

import pytest

from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.scoring.formats.registry import FORMATS, WRITABLE, format_to_write
from kdspeech.scoring.formats.rows import FormatError, Written
from kdspeech.scoring.formats.transcripts import merge_transcripts, read_transcripts
from kdspeech.utterance import Utterance, write_manifest

TEXTS = {"F02_1": "one two", "F02_2": "", "M05_1": "x-ray, “é”"}

FILES = {
    "jsonl": "".join(
        json.dumps({"utt_id": i, "hypothesis": text}, ensure_ascii=False) + "\n" for i, text in TEXTS.items()
    ),
    "csv": 'utt_id,hypothesis\nF02_1,one two\nF02_2,\nM05_1,"x-ray, “é”"\n',
    "tsv": "F02_1\tone two\nF02_2\t\nM05_1\tx-ray, “é”\n",
    "kaldi": "F02_1 one two\nF02_2\nM05_1 x-ray, “é”\n",
    "trn": ";; a comment\none two (F02_1)\n(F02_2)\nx-ray, “é” (M05_1)\n",
}
# As speechbrain.dataio.wer writes it, with words that look like its marks.
SPEECHBRAIN = """%WER 83.33 [ 5 / 6, 2 ins, 2 del, 1 sub ]
%SER 80.00 [ 4 / 5 ]
Scored 5 sentences, 0 not present in hyp.
================================================================================
ALIGNMENTS

Format:
<utterance-id>, WER DETAILS
<eps> ; reference  ; on ; the ; first ;  line
  I   ;     S      ; =  ;  =  ;   S   ;   D
 and  ; hypothesis ; on ; the ; third ; <eps>
================================================================================
a1, %WER 50.00 [ 2 / 4, 0 ins, 1 del, 1 sub ]
x ; y ; <eps> ;   ;  
= ; S ;   =   ;   D  
x ; ; ; <eps> ; <eps>
================================================================================
a 2, %WER 100.00 [ 1 / 1, 0 ins, 1 del, 0 sub ]
 one 
  D  
<eps>
================================================================================
a3, %WER 100.00 [ 1 / 0, 1 ins, 0 del, 0 sub ]
<eps>
  I  
  b  
================================================================================
a4, %WER 0.00 [ 0 / 0, 0 ins, 0 del, 0 sub ]



================================================================================
a5, %WER 100.00 [ 1 / 1, 1 ins, 0 del, 0 sub ]
<eps> ; <eps>
  I   ;   =  
  z   ; <eps>
"""  # noqa: W291


def write(folder: Path, text: str, name: str = "file") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FILES)
def test_each_form_is_known_by_its_lines(tmp_path: Path, name: str) -> None:
    found = read_transcripts(write(tmp_path, FILES[name]))
    assert found.format == name
    assert dict(found.texts) == TEXTS
    assert found.references is None


@pytest.mark.parametrize("name", FILES)
def test_a_byte_order_mark_and_windows_line_ends_do_not_count(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf" + FILES[name].replace("\n", "\r\n").encode())
    assert dict(read_transcripts(path).texts) == TEXTS


@pytest.mark.parametrize("name", WRITABLE)
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    FORMATS[name].write(path, [Written(i, text, 0.25) for i, text in TEXTS.items()])  # type: ignore[misc]
    found = read_transcripts(path)
    assert (found.format, dict(found.texts)) == (name, TEXTS)
    assert found.confidences == ([0.25] * 3 if name in ("jsonl", "csv") else None)


def test_ids_with_blanks_are_not_written_where_a_blank_ends_them(tmp_path: Path) -> None:
    for name in ("kaldi", "trn"):
        with pytest.raises(KdspeechError, match="'a 1' has a blank"):
            FORMATS[name].write(tmp_path / "file", [Written("a 1", "one")])  # type: ignore[misc]


def test_speechbrain_alignments_give_both_texts(tmp_path: Path) -> None:
    found = read_transcripts(write(tmp_path, SPEECHBRAIN, "wer_test.txt"))
    assert found.format == "speechbrain"
    assert dict(found.texts) == {"a1": "x ; <eps>", "a 2": "", "a3": "b", "a4": "", "a5": "z <eps>"}
    assert list(found.reference_texts.values()) == ["x y <eps> ;", "one", "", "", "<eps>"]


def test_a_damaged_alignment_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, SPEECHBRAIN.replace("x ; ; ; <eps> ; <eps>", "x ; <eps> ; <eps>"))
    with pytest.raises(FormatError, match=r"line 13: the lines of 'a1' do not fit"):
        read_transcripts(path)


def test_nemo_predictions_hold_both_texts_and_name_recordings(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": f"/a/{name}.wav", "duration": 1.0, "text": "one", "pred_text": said, "speaker": name[0]}
        for name, said in (("a1", "one"), ("b1", "won"))
    ]
    found = read_transcripts(write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows)))
    assert (dict(found.texts), found.ids_from_audio) == ({"a1": "one", "b1": "won"}, True)
    assert dict(found.reference_texts) == {"a1": "one", "b1": "one"}
    assert found.detail("speaker") == {"a1": "a", "b1": "b"}


def test_a_hypothesis_that_is_null_is_empty_and_not_the_reference(tmp_path: Path) -> None:
    rows = [{"utt_id": "a", "text": "one", "pred_text": "one"}, {"utt_id": "b", "text": "two", "pred_text": None}]
    found = read_transcripts(write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows)))
    assert dict(found.texts) == {"a": "one", "b": ""}
    assert dict(found.reference_texts) == {"a": "one", "b": "two"}


def test_recordings_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    rows = [{"audio_filepath": f"/{folder}/1.wav", "pred_text": folder} for folder in "ab"]
    found = read_transcripts(write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows)))
    assert dict(found.texts) == {"/a/1.wav": "a", "/b/1.wav": "b"}


def test_our_manifest_tells_everything(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, [Utterance("u1", "/a/u1.wav", 1.0, "one", "F02", "test", "p1", "CW", "B3", "M5", "LOW")])
    found = read_transcripts(path)
    assert dict(found.texts) == {"u1": "one"}
    assert found.details == {
        "speaker": ["F02"],
        "band": ["LOW"],
        "word_type": ["CW"],
        "block": ["B3"],
        "microphone": ["M5"],
        "production_id": ["p1"],
    }


def test_our_results_hold_both_texts(tmp_path: Path) -> None:
    row = {"utt_id": "u1", "speaker": "F02", "word_type": "CW", "block": "B3", "reference": "one", "hypothesis": "won"}
    content = {"settings": {"held_out": "F02"}, "utterances": [{**row, "correct": False, "log_prob": -0.5, "new": []}]}
    found = read_transcripts(write(tmp_path, json.dumps(content, indent=2)))
    assert found.format == "results"
    assert (dict(found.texts), dict(found.reference_texts)) == ({"u1": "won"}, {"u1": "one"})
    assert (found.confidences, found.detail("block")) == ([-0.5], {"u1": "B3"})


def test_speechbrain_data_files_are_references(tmp_path: Path) -> None:
    path = write(tmp_path, "ID,duration,wav,spk_id,wrd\nu1,1.0,/a/u1.wav,F02,ONE TWO\n", "test.csv")
    found = read_transcripts(path)
    assert (dict(found.texts), found.detail("speaker")) == ({"u1": "ONE TWO"}, {"u1": "F02"})


@pytest.mark.parametrize("name", FILES)
def test_an_id_that_stands_twice_is_named_with_both_lines(tmp_path: Path, name: str) -> None:
    text = FILES[name] + FILES[name].splitlines(keepends=True)[-1]
    first = text.count("\n") - 1
    with pytest.raises(FormatError, match=rf"file, line {first + 1}: utterance id 'M05_1' stands in line {first}"):
        read_transcripts(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"utt_id": "a", "text": "one"}\n{"utt_id": "b"\n', "line 2: not such an object"),
        ('{"utt_id": "a", "text": "one"}\n{"utt_id": "b"}\n', "line 2: no text among utt_id"),
        ('{"utt_id": "a", "text": 1}\n', "line 1: 1 is no text"),
        ('{"utt_id": "a", "text": null}\n', "line 1: no text among utt_id"),
        ('{"text": "one"}\n', "line 1: no utterance id among text"),
        ('{"utt_id": "a", "text": "one"}\n{"audio_filepath": "/b.wav", "text": "one"}\n', "line 2: no utterance id"),
        ('{"utt_id": "a", "hyp": "one", "confidence": "high"}\n', "line 1: confidence 'high'"),
        (
            '{"id": "a", "text": "b", "hyp": "c"}\n{"id": "b", "text": "b"}\n',
            "line 2: a reference alone among id, text",
        ),
        ('{"id": "a", "text": "b", "hyp": "c"}\n{"id": "b", "hyp": "b"}\n', "line 2: a hypothesis alone among id, hyp"),
        ('{"id": "a", "hyp": "b"}\n{"id": "b", "text": "b"}\n', "line 2: a reference alone among id, text, other than"),
        ("utt_id,text\na,one\nb,two,three\n", "line 3: 3 cells under 2 headings"),
        ("utt_id,text,confidence\na,one,high\n", "line 2: confidence 'high'"),
        ("a\tone\nb two\n", "line 2: 'b two' has 0 tabs"),
        ("a\tone\nb\ttwo\tthree\n", "line 2: .* has 2 tabs"),
        ("one (a)\n{ two / too } (b)\n", "line 2: alternatives in braces"),
        ('{\n"utterances": 3}', "not a results file"),
        ("%WER 0.00 [ 0 / 0 ]\n", "line 1: no utterance"),
        ("\n \n", "is empty"),
        ("utt_id,text\n", "holds no utterances, read as CSV"),
    ],
)
def test_faults_are_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(KdspeechError, match=rf"file.*{message}"):
        read_transcripts(write(tmp_path, text))


def test_a_named_format_is_not_guessed(tmp_path: Path) -> None:
    path = write(tmp_path, "one (a)\ntwo b\n")
    assert dict(read_transcripts(path).texts) == {"one": "(a)", "two": "b"}
    with pytest.raises(FormatError, match="line 2: 'two b' does not end with an id in brackets"):
        read_transcripts(path, "trn")


def test_what_is_not_utf_8_is_said(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("a one\nb \xe9\n".encode("latin-1"))
    with pytest.raises(FormatError, match="not UTF-8"):
        read_transcripts(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KdspeechError, match="nowhere does not exist"):
        read_transcripts(tmp_path / "nowhere")


def test_folds_are_put_together_and_seeds_are_not(tmp_path: Path) -> None:
    one, two = write(tmp_path, "a one\n", "1"), write(tmp_path, "two (b)\n", "2.trn")
    files = [read_transcripts(one), read_transcripts(two)]
    assert dict(merge_transcripts(files).texts) == {"a": "one", "b": "two"}
    with pytest.raises(FormatError, match="'a' among them"):
        merge_transcripts([files[0], files[0]])


def test_the_suffix_decides_what_is_written() -> None:
    assert format_to_write(Path("x.trn")) is FORMATS["trn"].write
    assert format_to_write(Path("x.csv"), "tsv") is FORMATS["tsv"].write
    with pytest.raises(ConfigError, match="cannot be written; expected jsonl"):
        format_to_write(Path("x"), "speechbrain")
