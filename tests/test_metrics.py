"""The scores equal the COCO caption toolkit's, and behave as scores of captions should."""

import random
import re
import shutil
import subprocess
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from showtell.errors import DataError
from showtell.evaluation.caption_scores import SCORE_NAMES, CiderD, caption_scores
from showtell.evaluation.intervals import bootstrap_interval, student_t
from showtell.evaluation.meteor import matching_statistics, meteor_exact_stem
from showtell.text.words import metric_tokens

FLICKR = Path(__file__).parents[2] / "shared" / "data" / "flickr8k"
VOCABULARY = ["a", "a", "the", "dog", "dogs", "runs", "running", "on", "grass", "red", "ball"]

caption = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=12).map(" ".join)
references_of_one = st.lists(caption, min_size=1, max_size=4)
names = st.text("abc가나", min_size=1, max_size=3)


@st.composite
def scored_sets(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, str]]:
    references = draw(st.dictionaries(names, references_of_one, min_size=1, max_size=6))
    return references, {name: draw(caption | st.just("")) for name in references}


def flickr_dev() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Take each dev image's first caption as the hypothesis and the other four as its references."""
    if not FLICKR.exists():
        pytest.skip("the Flickr8k captions are not on this machine")
    dev = (FLICKR / "Flickr_8k.devImages.txt").read_text(encoding="utf-8").split()
    captions: dict[str, list[str]] = {name: [] for name in dev}
    for line in (FLICKR / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        key, text = line.split("\t")
        if (name := key[:-2]) in captions:
            captions[name].append(text)
    return {name: texts[1:] for name, texts in captions.items()}, {
        name: texts[0] for name, texts in captions.items()
    }


def toolkit_scores(
    references: dict[str, list[str]], hypotheses: dict[str, str]
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Score with the toolkit's Python parts: the set, and each image in the order of the sorted names."""
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    truths = {
        name: [" ".join(metric_tokens(text)) for text in references[name]] for name in sorted(references)
    }
    judged = {name: [" ".join(metric_tokens(hypotheses[name]))] for name in truths}
    bleus, bleus_alone = Bleu(4).compute_score(truths, judged, verbose=0)
    rouge, rouge_alone = Rouge().compute_score(truths, judged)
    cider, cider_alone = Cider().compute_score(truths, judged)
    keys = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider_d")
    return dict(zip(keys, [*bleus, rouge, cider])), dict(zip(keys, [*bleus_alone, rouge_alone, cider_alone]))


@settings(max_examples=150, deadline=None)
@given(scored_sets())
def test_scores_equal_the_toolkits(scored: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    ours = caption_scores(*scored, resamples=0)
    theirs, theirs_alone = toolkit_scores(*scored)
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(value, rel=1e-9, abs=1e-12), name
        assert ours.per_image[name] == pytest.approx(np.array(theirs_alone[name]), rel=1e-9, abs=1e-12), name


def test_flickr8k_equals_the_toolkit_with_java() -> None:
    # Made once with the whole toolkit, Java tokenizer included; the splitting is compared in test_words.
    scores = caption_scores(*flickr_dev(), resamples=0)
    bleus = (scores.bleu1, scores.bleu2, scores.bleu3, scores.bleu4)
    assert [f"{100 * value:.10f}" for value in bleus] == [
        "62.7512948819",
        "44.3429795763",
        "30.7081293278",
        "21.1600985015",
    ]
    assert f"{scores.rouge_l:.12f}" == "0.491734086525"
    assert f"{scores.cider_d:.12f}" == "0.803661788730"


def test_exact_stem_equals_the_official_program(tmp_path: Path) -> None:
    references, hypotheses = flickr_dev()
    if not shutil.which("java"):
        pytest.skip("java is not on this machine")
    spec = find_spec("pycocoevalcap.meteor.meteor")
    if spec is None or spec.origin is None:
        pytest.skip("pycocoevalcap is not installed")
    judged = [metric_tokens(hypotheses[name]) for name in references]
    truths = [[metric_tokens(text) for text in texts] for texts in references.values()]
    judged.append(["a", "dog"])
    truths.append([["a", "dog"]] * 4)
    lines = [" ".join(words) + "\n" for texts in truths for words in texts]
    (tmp_path / "references").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "test").write_text("".join(" ".join(words) + "\n" for words in judged), encoding="utf-8")
    jar = Path(spec.origin).with_name("meteor-1.5.jar")
    settings_ = ["-l", "en", "-r", "4", "-m", "exact stem", "-w", "1.0 0.6", "-p", "0.85 0.2 0.6 0.5"]
    output = subprocess.run(
        ["java", "-jar", jar, "test", "references", *settings_],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    theirs = np.array([float(score) for score in re.findall(r"^Segment \d+ score:\s+(\S+)$", output, re.M)])
    statistics = np.array([matching_statistics(*pair) for pair in zip(judged, truths)])
    ours = meteor_exact_stem(statistics)
    assert len(theirs) == len(ours) == 1001
    # The program's search is narrower: where a caption repeats words it may miss the best alignment.
    assert np.sum(np.abs(ours - theirs) > 1e-9) <= 2
    final = float(re.findall(r"^Final score:\s+(\S+)$", output, re.M)[0])
    assert meteor_exact_stem(statistics.sum(axis=0)) == pytest.approx(final, abs=1e-4)


def test_official_meteor() -> None:
    """METEOR 1.5 itself, which needs Java, scores our tokens as the toolkit scores its own."""
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed")
    if not shutil.which("java"):
        pytest.skip("java is not on this machine")
    from pycocoevalcap.meteor.meteor import Meteor

    references, hypotheses = flickr_dev()
    some = sorted(list(references)[:20])
    truths = {name: [" ".join(metric_tokens(text)) for text in references[name]] for name in some}
    judged = {name: [" ".join(metric_tokens(hypotheses[name]))] for name in some}
    score, _ = Meteor().compute_score(truths, judged)
    assert f"{float(score):.12f}" == "0.289538064885"


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        # weights, matches, chunks, length, reference length
        ("a dog runs", "a dog runs", (3, 3, 0, 3, 3)),
        ("a dog runs", "a dog running", (2.6, 3, 0, 3, 3)),
        ("a dog runs fast", "the fast dog runs", (3, 3, 2, 4, 4)),
        ("cat", "dog", (0, 0, 0, 1, 1)),
        ("", "dog", (0, 0, 0, 0, 1)),
        ("개가 뛴다", "개가 잔다", (1, 1, 1, 2, 2)),
        # The second "a" is the one that stands with "ball" in both.
        ("a dog a ball", "red a ball", (2, 2, 1, 4, 3)),
    ],
)
def test_alignment(hypothesis: str, reference: str, expected: tuple[float, ...]) -> None:
    assert tuple(matching_statistics(hypothesis.split(), [reference.split()])) == pytest.approx(expected)


def test_absurd_repetition_is_scored_quickly() -> None:
    start = time.perf_counter()
    matching_statistics(["a"] * 40, [["a"] * 40] * 5)
    assert time.perf_counter() - start < 10


@settings(deadline=None)
@given(scored_sets())
def test_scores_lie_in_their_range(scored: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    scores = caption_scores(*scored, resamples=20)
    for name in SCORE_NAMES:
        top = 10 if name == "cider_d" else 1
        values = [getattr(scores, name), *scores.per_image[name], *scores.intervals[name]]
        assert all(-1e-9 <= value <= top + 1e-9 for value in values), name
    assert scores.count == len(scores.names) == len(scored[0])


@settings(deadline=None)
@given(scored_sets(), st.randoms(use_true_random=False))
def test_no_order_changes_a_digit(
    scored: tuple[dict[str, list[str]], dict[str, str]], shuffler: random.Random
) -> None:
    references, hypotheses = scored
    shuffled_names = list(references)
    shuffler.shuffle(shuffled_names)
    shuffled = {name: shuffler.sample(references[name], len(references[name])) for name in shuffled_names}
    one = asdict(caption_scores(references, hypotheses, resamples=20, seed=3))
    other = asdict(caption_scores(shuffled, hypotheses, resamples=20, seed=3))
    assert {name: list(values) for name, values in one.pop("per_image").items()} == {
        name: list(values) for name, values in other.pop("per_image").items()
    }
    assert one == other


@settings(deadline=None)
@given(st.dictionaries(names, st.lists(st.sampled_from(VOCABULARY), min_size=4, max_size=9), min_size=1))
def test_saying_the_reference_is_perfect(captions: dict[str, list[str]]) -> None:
    texts = {name: " ".join(words) for name, words in captions.items()}
    scores = caption_scores({name: [text, text] for name, text in texts.items()}, texts, resamples=0)
    perfect = [
        scores.bleu1,
        scores.bleu2,
        scores.bleu3,
        scores.bleu4,
        scores.rouge_l,
        scores.meteor_exact_stem,
    ]
    assert perfect == pytest.approx([1.0] * 6)


def test_perfect_and_telling_gets_ten() -> None:
    texts = {
        "a": "a dog runs on grass",
        "b": "two cats sleep at home",
        "c": "children play football there today",
    }
    scores = caption_scores({name: [text] for name, text in texts.items()}, texts)
    assert scores.cider_d == pytest.approx(10.0)
    low, high = scores.intervals["cider_d"]
    assert 9 < low < 10 == high  # three images do not prove that the next one is perfect, too


def test_repeated_references_weigh_in_but_do_not_raise_bleu() -> None:
    hypotheses = {"a": "a dog runs on the grass", "b": "a cat sleeps"}
    once = {"a": ["the dog runs on grass"], "b": ["one cat sleeps at home"]}
    twice = {name: texts * 2 for name, texts in once.items()}
    one, two = (caption_scores(references, hypotheses, resamples=0) for references in (once, twice))
    assert [getattr(one, name) for name in SCORE_NAMES] == [getattr(two, name) for name in SCORE_NAMES]


@settings(max_examples=60, deadline=None)
@given(scored_sets())
def test_chrf_equals_sacrebleu(scored: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    references, hypotheses = scored
    ours = caption_scores(references, hypotheses, resamples=0)
    order = sorted(references)
    most = max(map(len, references.values()))
    streams = [
        [references[name][place] if place < len(references[name]) else None for name in order]
        for place in range(most)
    ]
    for stream in streams:
        stream[:] = [text and " ".join(metric_tokens(text)) for text in stream]
    judged = [" ".join(metric_tokens(hypotheses[name])) for name in order]
    alone = [
        CHRF().sentence_score(one, [text[place] for text in streams if text[place] is not None]).score / 100
        for place, one in enumerate(judged)
    ]
    assert ours.per_image["chrf"] == pytest.approx(alone, abs=1e-12)
    # Of references that score alike for one image sacreBLEU takes the first, so that its corpus may differ.
    if most == 1:
        assert ours.chrf == pytest.approx(CHRF().corpus_score(judged, streams).score / 100, abs=1e-12)


def test_chrf_sees_that_a_korean_word_has_only_another_ending() -> None:
    references = {"a": ["강아지가 잔디밭에서 달린다."], "b": ["고양이가 소파에서 잔다."]}
    near = caption_scores(references, {"a": "강아지는 잔디밭을 달립니다", "b": "고양이는 소파에 잔다"})
    far = caption_scores(references, {"a": "사람들이 기차를 기다린다", "b": "고양이는 소파에 잔다"})
    assert near.per_image["bleu1"][0] == pytest.approx(0, abs=1e-6), "no word is the same"
    assert near.per_image["chrf"][0] > 0.2 > far.per_image["chrf"][0]
    low, high = near.intervals["chrf"]
    assert 0 <= low < near.chrf < high <= 1


def test_korean_is_scored_by_its_words() -> None:
    references = {"a": ["개가 잔디 위를 뛴다."], "b": ["고양이가 소파에서 잔다."]}
    scores = caption_scores(
        references, {"a": "개가 잔디 위를 걷는다", "b": "고양이가 소파에서 잔다"}, resamples=0
    )
    assert scores.per_image["bleu1"] == pytest.approx([3 / 4, 1])
    assert scores.per_image["rouge_l"] == pytest.approx([3 / 4, 1])
    assert 0 < scores.per_image["cider_d"][0] < scores.per_image["cider_d"][1]


def test_cider_scores_any_part_of_its_images() -> None:
    references = {"a": ["a dog runs"], "b": ["a cat sleeps", "the cat naps"], "c": ["two birds fly"]}
    cider = CiderD(references)
    hypotheses = {"a": "a dog sleeps", "b": "a cat naps", "c": "two birds"}
    whole = cider.score(hypotheses)
    assert whole.mean() == pytest.approx(caption_scores(references, hypotheses, resamples=0).cider_d)
    assert list(cider.score({"c": "two birds", "a": "a dog sleeps"})) == [whole[2], whole[0]]
    assert cider.score_words("b", ["a", "cat", "naps"]) == whole[1]
    reused = caption_scores(references, hypotheses, cider=cider)
    assert reused.cider_d == pytest.approx(whole.mean())


def test_bootstrap_is_seeded_and_covers() -> None:
    # The mean of a large normal sample has a known interval: mean +- 1.96 standard errors.
    sample = np.random.default_rng(1).normal(5.0, 2.0, size=(400, 1))
    low, high = bootstrap_interval(sample, lambda sums: sums / 400, seed=7, resamples=4000)[0]
    error = 1.96 * sample.std() / 20
    assert (low, high) == pytest.approx((sample.mean() - error, sample.mean() + error), abs=0.03)
    again = bootstrap_interval(sample, lambda sums: sums / 400, seed=7, resamples=4000)[0]
    assert (low, high) == tuple(again)
    assert (low, high) != tuple(
        bootstrap_interval(sample, lambda sums: sums / 400, seed=8, resamples=4000)[0]
    )


def _mean(sums: np.ndarray, count: int) -> np.ndarray:
    return sums / count


KINDS = {
    "as scores of captions": lambda r, n: r.gamma(1.5, 0.3, n),
    "normal": lambda r, n: r.normal(0.5, 0.1, n),
    "most of them low": lambda r, n: r.gamma(0.3, 0.3, n),
    "half of them zero": lambda r, n: np.where(r.random(n) < 0.5, r.gamma(3, 0.1, n), 0.0),
    "right or wrong": lambda r, n: (r.random(n) < 0.7) * 1.0,
    "nearly all wrong": lambda r, n: (r.random(n) < 0.04) * 1.0,
    "nearly all right": lambda r, n: (r.random(n) < 0.97) * 1.0,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [5, 10, 20, 50])
def test_an_interval_of_few_images_holds_the_truth(kind: str, count: int) -> None:
    random = np.random.default_rng(count)
    truth = KINDS[kind](random, 400_000).mean()
    limits = np.array([(0.0, 1.0 if "all" in kind or "right" in kind else 10.0)])
    held = 0
    for trial in range(400):
        sample = KINDS[kind](random, count)[:, None]
        low, high = bootstrap_interval(
            sample, lambda sums: _mean(sums, count), seed=trial, resamples=400, limits=limits
        )[0]
        assert 0 <= low <= sample.mean() <= high <= limits[0, 1]
        held += low <= truth <= high
    assert held / 400 >= 0.9


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 999])
@pytest.mark.parametrize("value", [0.0, 1e-9, 0.3, 1.0, 2.2, 10.0])
def test_no_interval_is_a_point(count: int, value: float) -> None:
    """Where all images score alike, so do all resamples."""
    top = 10.0 if value > 1 else 1.0
    limits = np.array([(0.0, top)])
    low, high = bootstrap_interval(
        np.full((count, 1), value), lambda sums: _mean(sums, count), seed=0, limits=limits
    )[0]
    assert 0 <= low <= value <= high <= top
    assert high - low >= 2.9 / (count + 3) * min(1, max(value, top - value))


@given(
    scores=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=40),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_any_interval_has_width_and_holds_the_score(scores: list[float], seed: int) -> None:
    values = np.array(scores)[:, None]
    low, high = bootstrap_interval(
        values,
        lambda sums: _mean(sums, len(scores)),
        seed=seed,
        resamples=100,
        limits=np.array([(0.0, 1.0)]),
    )[0]
    assert 0 <= low <= values.mean() + 1e-12
    assert values.mean() - 1e-12 <= high <= 1
    assert high > low


def test_intervals_of_few_captions_have_width_whatever_the_captions_are() -> None:
    for count in (1, 2, 5, 20):
        references = {str(index): [f"a dog number {index} runs on grass"] for index in range(count)}
        for said in ("", "a dog number 0 runs on grass", "two cats"):
            scores = caption_scores(references, dict.fromkeys(references, said))
            for name, (low, high) in scores.intervals.items():
                assert low < high, (count, said, name)
                assert low <= getattr(scores, name) <= high


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 49, 999])
def test_students_t_is_that_of_tables(freedom: int) -> None:
    tables = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 49: 2.010, 999: 1.962}
    assert student_t(0.975, freedom) == pytest.approx(tables[freedom], abs=0.005)


def test_intervals_of_a_corpus_score_resample_its_counts() -> None:
    references = {str(index): ["a dog runs on grass"] for index in range(40)}
    hypotheses = {name: "a dog runs on grass" if int(name) % 2 else "a cat naps" for name in references}
    scores = caption_scores(references, hypotheses, seed=1)
    for name in ("bleu1", "bleu4", "meteor_exact_stem", "rouge_l"):
        low, high = scores.intervals[name]
        assert low < getattr(scores, name) < high, name
    # Corpus BLEU is no mean of the images' BLEU, and neither is its interval.
    assert scores.bleu4 != pytest.approx(scores.per_image["bleu4"].mean(), abs=0.01)
    assert caption_scores(references, hypotheses, seed=1).intervals == scores.intervals
    assert caption_scores(references, hypotheses, seed=2).intervals != scores.intervals
    assert caption_scores(references, hypotheses, resamples=0).intervals == {}


@pytest.mark.parametrize(
    ("references", "hypotheses", "message"),
    [
        ({"a": ["x"], "b": ["y"]}, {"a": "x"}, "lack a caption to judge: b"),
        ({"a": ["x"]}, {"a": "x", "b": "y"}, "lack references: b"),
        ({"a": []}, {"a": "x"}, "lack references: a"),
        ({}, {}, "no images"),
        ({f"p{index:02}": ["x"] for index in range(13)}, {}, "p09 and 3 more"),
    ],
)
def test_mismatched_images_are_named(
    references: dict[str, list[str]], hypotheses: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        caption_scores(references, hypotheses)


def test_cider_of_an_unknown_image() -> None:
    with pytest.raises(DataError, match="no references for the image z"):
        CiderD({"a": ["a dog"]}).score({"z": "a dog"})
