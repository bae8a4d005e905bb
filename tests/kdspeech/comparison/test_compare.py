"""`compare` on systems whose difference is made."""

from pathlib import Path

import pytest

from kdspeech.comparison.compare import compare
from kdspeech.comparison.systems import find_files
from kdspeech.errors import KdspeechError
from kdspeech.files import read_json, write_json

SPEAKERS = tuple(f"s{i}" for i in range(6))


def write(path: Path, right: dict[str, int], count: int = 20) -> Path:
    """Of each speaker `count` utterances, of which the first `right` are right; with references."""
    rows = ["utt_id,speaker,text,pred_text"]
    rows += [f"{s}_{i},{s},one,{'one' if i < right[s] else 'two'}" for s in right for i in range(count)]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_difference_in_every_speaker(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", dict.fromkeys(SPEAKERS, 10))
    b = write(tmp_path / "b.csv", {s: 13 + i % 2 for i, s in enumerate(SPEAKERS)})

    found = compare([a], [b], num_replicates=2000, out=tmp_path / "c.json")

    estimates = found.evidence.estimates
    assert estimates["a_macro"].value == pytest.approx(50.0)
    assert estimates["macro"].value == estimates["micro"].value == pytest.approx(17.5)
    assert estimates["macro"].interval.low > 0
    assert found.evidence.p_speakers.value == 2 / 2**6
    # 3 or 4 utterances of each speaker turn from wrong to right, and none back: all signs the same
    assert found.evidence.p_productions.value == pytest.approx(2 / 2**21)
    assert found.evidence.verdict == "B is better by 17.5 points, p = 0.031 over speakers."
    assert [pair.rates for pair in found.speakers][:2] == [(50.0, 65.0, 15.0), (50.0, 70.0, 20.0)]
    assert read_json(tmp_path / "c.json")["wra"]["macro"]["value"] == 17.5


def test_few_speakers_speak_for_themselves_only(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", {"s0": 8, "s1": 8})
    b = write(tmp_path / "b.csv", {"s0": 14, "s1": 14})
    found = compare([a], [b], num_replicates=200).evidence
    assert found.p_value == found.p_productions
    assert "over productions of 2 speakers: too few" in found.verdict
    assert found.significant


def test_the_same_system_differs_in_nothing(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", dict.fromkeys(SPEAKERS, 10))
    found = compare([a], [a], num_replicates=200).evidence
    assert (found.p_speakers.value, found.p_productions.value) == (1.0, 1.0)
    assert not found.significant
    assert (found.estimates["macro"].interval.low, found.estimates["macro"].interval.high) == (0.0, 0.0)


def test_seeds_are_pooled_and_folds_are_added(tmp_path: Path) -> None:
    a = [write(tmp_path / f"a{i}.csv", {"s0": 9 + 3 * i}) for i in range(3)] + [write(tmp_path / "a.csv", {"s1": 10})]
    b = [write(tmp_path / "b.csv", {"s0": 15, "s1": 10})]
    found = compare(a, b, num_replicates=200)
    assert found.a.seeds == (1, 3)
    assert [pair.a_right for pair in found.speakers] == [pytest.approx(12.0), 10.0]
    assert found.evidence.estimates["macro"].value == pytest.approx((15.0 + 0.0) / 2)
    # three utterances by one third, three by two thirds, none back
    assert found.evidence.p_productions.value == pytest.approx(2 / 2**6)


def test_productions_are_flipped_whole(tmp_path: Path) -> None:
    rows = [f"p{i}_{m},s0,p{i},one," for i in range(4) for m in "ab"]
    for name, said in (("a", "two"), ("b", "one")):
        heading = "utt_id,speaker,production_id,text,pred_text\n"
        (tmp_path / name).write_text(heading + "".join(f"{row}{said}\n" for row in rows))
    found = compare([tmp_path / "a"], [tmp_path / "b"], num_replicates=200)
    assert found.evidence.p_productions.value == pytest.approx(2 / 2**4)  # not 2 / 2**8
    assert found.speakers[0].productions == 4


def test_what_one_system_did_not_answer_is_wrong_and_named(tmp_path: Path) -> None:
    reference = tmp_path / "ref.csv"
    reference.write_text("utt_id,speaker,text\nu1,s0,one\nu2,s0,one\nu3,s0,one\n")
    (tmp_path / "a").write_text("u1 one\nu2 one\n")
    (tmp_path / "b").write_text("u1 one\n")
    files = [tmp_path / "a"], [tmp_path / "b"]

    found = compare(*files, reference=reference, num_replicates=200)

    assert (found.a.missing, found.b.missing, found.unanswered) == ((), ("u2",), ("u3",))
    assert found.speakers[0].rates == (100.0, 50.0, -50.0)
    with pytest.raises(KdspeechError, match=r"none are missing in A, 1 \(u2\) in B"):
        compare(*files, reference=reference, strict=True)


def test_other_folds_are_another_test_set(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", {"s0": 9, "s1": 9})
    b = write(tmp_path / "b.csv", {"s0": 9})
    with pytest.raises(KdspeechError, match="B has no answer of s1"):
        compare([a], [b])


def test_other_references_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", {"s0": 9})
    b = tmp_path / "b.csv"
    b.write_text(a.read_text().replace(",one,", ",six,"))
    with pytest.raises(KdspeechError, match="'s0_0' is 'one' for A and 'six' for B"):
        compare([a], [b])
    (tmp_path / "c").write_text("s0_0 one\n")
    with pytest.raises(KdspeechError, match="holds no references; name their file with --ref"):
        compare([a], [tmp_path / "c"])


def test_files_by_name_list_and_pattern(tmp_path: Path) -> None:
    one, two = tmp_path / "seed1" / "r.json", tmp_path / "seed0" / "r.json"
    for path in (one, two):
        path.parent.mkdir()
        path.touch()
    assert find_files(str(one)) == [one]
    assert find_files(f"{one}, {two}") == [one, two]
    assert find_files(f"{one},{tmp_path}/*/r.json,{one}") == [one, two]  # a seed must not count twice
    assert find_files(f"{tmp_path}/*/r.json") == [two, one]
    with pytest.raises(KdspeechError, match="no file fits"):
        find_files(f"{tmp_path}/*/x.json")


def test_a_bare_reference_leaves_every_fold_its_speaker_and_productions(tmp_path: Path) -> None:
    """Folds know their speakers, the reference texts alone: no fold takes them from the others."""
    ids = {s: [f"{s}_{i}" for i in range(20)] for s in SPEAKERS}
    (tmp_path / "ref.tsv").write_text("".join(f"{i}\tone\n" for names in ids.values() for i in names))
    files: dict[str, list[Path]] = {"a": [], "b": []}
    for name, first in (("a", 10), ("b", 12)):
        for s, names in ids.items():
            path = tmp_path / f"{name}-{s}.csv"
            rows = [f"{i},{s},p{s}{n // 2},{'one' if n < first else 'two'}" for n, i in enumerate(names)]
            path.write_text("\n".join(["utt_id,speaker,production_id,text", *rows]) + "\n")
            files[name].append(path)
    found = compare(files["a"], files["b"], reference=tmp_path / "ref.tsv", num_replicates=200)
    assert [(pair.speaker, pair.productions) for pair in found.speakers] == [(s, 10) for s in SPEAKERS]
    assert found.evidence.p_speakers.value == 2 / 2**6


def results(path: Path, **settings: object) -> Path:
    """What `eval` wrote of one utterance."""
    known = {"held_out": "s0", "seed": 0, "recipe": "r", "mode": "labels", "decode_mode": "ctc", "checkpoint": "last"}
    write_json(
        path,
        {
            "settings": {**known, **settings},
            "utterances": [{"utt_id": "u", "reference": "one", "hypothesis": "one", "speaker": "s0"}],
        },
    )
    return path


def test_two_systems_are_not_pooled_as_seeds(tmp_path: Path) -> None:
    whole = results(tmp_path / "0.json")
    assert compare([whole, results(tmp_path / "1.json", seed=1)], [whole]).a.seeds == (2, 2)
    for name, value in (("recipe", "q"), ("mode", "ctc-kd"), ("decode_mode", "lexicon"), ("options", {"beam": 4})):
        other = results(tmp_path / "other.json", seed=1, **{name: value})
        with pytest.raises(KdspeechError, match=r"0\.json is of labels of recipe r by ctc.*these are 2 systems"):
            compare([whole, other], [whole])
    configs: tuple[dict[str, object], ...] = ({"lr": 1, "delay": None}, {"lr": 1}, {"lr": 2})
    for number, settings in enumerate(configs):
        run = tmp_path / f"seed{number}"
        write_json(run / "config.json", {"held_out": "s0", "seed": number, "inputs": {"x": number}, **settings})
        results(run / "0.json", seed=number)
    first, same, different = (tmp_path / f"seed{number}" / "0.json" for number in range(3))
    assert compare([first, same], [whole]).a.seeds == (2, 2)
    with pytest.raises(KdspeechError, match=r"seed0/0\.json is of .*, settings \w{8}; .*seed2/0\.json is of"):
        compare([first, different], [whole])
    again = results(tmp_path / "again.json")
    with pytest.raises(KdspeechError, match=r"0\.json and .*again\.json are both of held-out s0, seed 0"):
        compare([whole, again], [whole])
