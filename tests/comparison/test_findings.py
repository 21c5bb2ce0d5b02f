"""Each verdict on both sides of its threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from scipy.stats import norm

from headstart.comparison.answer import headline, how_sure
from headstart.comparison.cautions import (
    of_excluded,
    of_family,
    of_length,
    of_seeds,
    of_selection,
    of_weights,
)
from headstart.comparison.findings import (
    findings,
    of_floor,
    of_freezing,
    of_harm,
    of_improvement,
    of_label_multipliers,
    of_pairs,
    of_ranking,
)
from headstart.comparison.intervals import Difference
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.comparison.warnings import of_baseline, of_failures, of_few_images, of_grid_edges, of_leaks
from headstart.comparison.wording import difference_sentence, improvement_sentence, percent, plain_points

MadeStudy = Callable[..., Study]


def apart(value: float, half: float, seeds: int = 3, image_share: float = 1.0, level: float = 0.05) -> Difference:
    """A difference with ``half`` of its interval, by the normal distribution."""
    return Difference(value, half / norm.ppf(1 - level / 2), 1e6, 0.02, 406, seeds, level, image_share)


def test_a_difference_that_is_not_significant_says_what_the_study_could_have_found() -> None:
    near = apart(0.01, 0.03)
    assert near.detectable == pytest.approx(2.802 * near.error, rel=1e-3), "2.8 standard errors"
    assert difference_sentence("B", "C", near) == (
        "B and C do not differ significantly on 406 validation images and 3 seeds; a difference of 4.3 points would"
        " have been found with a power of 80 %; with 10 seeds one of 4.3 points: the validation images are what limits"
        " it."
    )
    assert "406 test images" in difference_sentence("B", "C", near, "test images")
    assert "and one seed; a difference of" in difference_sentence("B", "C", apart(0.01, 0.03, seeds=1))
    of_seeds = apart(0.05, 0.1, image_share=0.1)
    assert of_seeds.detectable_with(10) == pytest.approx(of_seeds.detectable * (0.9 * 0.3 + 0.1) ** 0.5, rel=1e-3)
    assert difference_sentence("B", "C", of_seeds).endswith("; with 10 seeds one of 8.7 points.")
    assert replace(near, level=0.005).detectable > near.detectable, "a family of comparisons finds less"


def test_equivalence_is_the_whole_interval_within_the_margin() -> None:
    same = apart(0.003, 0.0165)
    assert difference_sentence("B", "C", same) == "B and C are within 2 points of each other (95 % CI -1.4 to +2.0)."
    assert "do not differ significantly" in difference_sentence("B", "C", same, margin=0.019)
    assert "within 1 point of" in difference_sentence("B", "C", apart(0.0, 0.009), margin=0.01)
    small = difference_sentence("B", "C", apart(0.01, 0.005))
    assert small == "B beats C by 1.0 points (95 % CI 0.5 to 1.5), which is within 2 points."
    for difference in (same, apart(0.0, 0.0)):
        assert "the same" not in difference_sentence("B", "C", difference)
    assert plain_points(0.025) == "2.5 points"


def test_the_probability_of_improvement_for_a_reader_without_statistics() -> None:
    sure, even = apart(0.1, 0.02), apart(0.0, 0.02, seeds=1)
    assert improvement_sentence("B", "A", sure).endswith("B would score above A with a probability of over 99 %.")
    assert "another seed and other images" in improvement_sentence("B", "A", sure)
    assert improvement_sentence("B", "A", even) == (
        "Made once more, with other images of the same kind and number, B would score above A with a probability of"
        " 50 %."
    )


def test_a_significant_difference_says_which_way() -> None:
    said = "beats {} by 2.5 points (95 % CI 0.5 to 4.5)."
    assert difference_sentence("B", "C", apart(0.025, 0.02)) == f"B {said.format('C')}"
    assert difference_sentence("B", "C", apart(-0.025, 0.02)) == f"C {said.format('B')}"


def test_percents_read_well() -> None:
    assert [percent(each) for each in (0.025, 0.05, 0.1, 0.333, 1)] == ["2.5 %", "5 %", "10 %", "33 %", "100 %"]


def test_the_two_highest_scores_differ_or_not(made_study: MadeStudy) -> None:
    far = "".join(of_ranking(Results(made_study("AB"))))
    assert "With all 2,000 labels, the highest accuracy is that of B (fine-tune supervised): " in far
    assert "B beats A by" in far
    near = "".join(of_ranking(Results(made_study("BF"))))
    assert "do not differ significantly" in near
    assert list(of_ranking(Results(made_study("A")))) == []


def test_the_headline_in_every_case(made_study: MadeStudy) -> None:
    assert "No trial is done yet" in headline(Results(made_study(skip=lambda *_: True)))
    assert "there is no baseline" in headline(Results(made_study("BD")))
    won = headline(Results(made_study("ABG")))
    assert won.startswith("With all 2,000 labels, use B (fine-tune supervised): it is best, with accuracy ")
    assert ", significantly above every other setting. It beats A (from scratch) by 1" in won
    assert "multiplier" not in won
    a_first = headline(Results(made_study("ACG", right={"C": 0.4})))
    assert "use A (from scratch): it is best" in a_first
    assert "No pre-training scores significantly higher than A" in a_first
    near = headline(Results(made_study("AC", right={"C": 0.615})))
    assert "use C (fine-tune self-supervised) or A (from scratch) (accuracy 6" in near
    assert "they do not differ significantly. No pre-training scores significantly higher" in near
    assert near.endswith("A model takes 10 min with A and 1.2 h with C.")
    both = headline(Results(made_study("ABFG")))
    assert "Both beat A (from scratch) by 1" in both
    assert "No pre" not in headline(Results(made_study("AG")))


def test_a_baseline_that_learned_nothing_is_warned_of_and_nothing_is_gained_over_it(made_study: MadeStudy) -> None:
    """A at 40 %, guessing at 42 %: neither a gain nor a label multiplier is told."""
    bad = Results(made_study("ABD", (0.25, 1.0), right={"A": 0.4}, images=300, majority_baseline=0.42))
    (said,) = of_baseline(bad)
    assert said.startswith("A (from scratch) is not significantly above always predicting the most frequent class")
    assert "beat" not in headline(bad)
    assert "label multiplier >" not in " ".join(findings(bad))
    assert not list(of_label_multipliers(bad))
    assert all(each.label_multiplier is None for each in bad.lines)
    assert not list(of_baseline(Results(made_study("ABD", majority_baseline=0.2))))
    nothing = Results(made_study("AB", (1.0,), right={"A": 0.4, "B": 0.41}, majority_baseline=0.42))
    assert headline(nothing).startswith("No answer yet: ")
    assert next(of_baseline(nothing)).startswith("No setting is significantly above")
    assert "use " not in headline(nothing)


def test_how_sure_names_images_seeds_and_what_could_have_been_found(made_study: MadeStudy) -> None:
    results = Results(made_study("ABF"))
    gap = results.difference("F", "B", 1.0)
    assert gap is not None
    said = how_sure(results)
    assert said[0] == "400 validation images, 3 seeds per setting."
    assert f"A true difference of {100 * gap.detectable:.1f} points between those to use" in said[1]
    assert "leave out the randomness of training" in how_sure(Results(made_study("AB", seeds=(0,))))[2]
    assert list(of_few_images(Results(made_study("AB", images=60))))
    leaking = made_study("AB", images=60)
    (warned,) = of_leaks(Results(leaking.model_copy(update={"leaked": 3})))
    assert "3 of 60 validation images (5.0 %)" in warned
    assert not list(of_leaks(Results(leaking)))
    assert not list(of_leaks(Results(leaking.model_copy(update={"leaked": 0}))))
    assert not list(of_few_images(results))


def test_pairs_are_compared_unless_they_rank_first(made_study: MadeStudy) -> None:
    assert list(of_pairs(Results(made_study("BC")))) == []
    (said,) = of_pairs(Results(made_study("ABC", right={"A": 0.9})))
    assert said.startswith("B (fine-tune supervised) against C (fine-tune self-supervised), with all labels: B beats C")
    near = " ".join(of_pairs(Results(made_study("ABDE", right={"E": 0.652}))))
    assert ": D and E do not differ significantly" in near


def test_the_label_multiplier_is_that_at_the_fewest_labels_within_the_curve(made_study: MadeStudy) -> None:
    said = list(of_label_multipliers(Results(made_study("ABCG"))))
    assert [each.split(" with ")[0] for each in said] == [
        "B (fine-tune supervised)",
        "C (fine-tune self-supervised)",
    ], "neither A nor the floor"
    assert "it matches training from scratch with" in said[1]
    (one,) = of_label_multipliers(Results(made_study("AB", fractions=(1.0,))))
    assert "needs setting A with two label fractions" in one
    assert list(of_label_multipliers(Results(made_study("BD")))) == []
    begun = made_study("AD", skip=lambda s, f, k: s == "A")
    assert list(of_label_multipliers(Results(begun))) == [], "both fractions are pending"


def test_harm_is_said_only_beyond_the_interval(made_study: MadeStudy) -> None:
    (said,) = of_harm(Results(made_study("ABC", right={"C": 0.4})))
    assert "pre-training hurts: C (fine-tune self-supervised) is below A (from scratch) by" in said
    assert "; also with 10 %" in said
    assert list(of_harm(Results(made_study("ABC", right={"C": 0.595}, fractions=(1.0,))))) == []
    assert list(of_harm(Results(made_study("AG")))) == [], "the floor is no pre-training"
    (frozen,) = of_harm(Results(made_study("AE", fractions=(1.0,))))
    assert "frozen features do not suffice" in frozen
    other = made_study("ABC", right={"C": 0.4}).model_copy(update={"scratch": "scratch-quick (a small network)"})
    (said,) = of_harm(Results(other))
    assert "training from scratch scores higher: C" in said, "not the weights alone differ"
    assert any("scratch-quick (a small network)" in each for each in findings(Results(other)))


def test_frozen_against_fine_tuned(made_study: MadeStudy) -> None:
    said = list(of_freezing(Results(made_study("CE", right={"E": 0.55}))))
    assert len(said) == 2
    assert said[0].startswith(
        "With 10 % of the labels (200), freezing the backbone pays: E (probe self-supervised) beats"
    )
    assert said[1].startswith(
        "With all 2,000 labels, fine-tuning the whole backbone pays: C (fine-tune self-supervised)"
    )
    assert list(of_freezing(Results(made_study("BD", fractions=(1.0,), right={"D": 0.76})))) == []
    assert list(of_freezing(Results(made_study("ABC")))) == []


def test_the_floor(made_study: MadeStudy) -> None:
    above = list(of_floor(Results(made_study("DG"))))
    assert len(above) == 1
    assert "Random features beat the majority-class baseline: G (the floor) reaches" in above[0]
    assert list(of_floor(Results(made_study("DG", majority_baseline=0.28)))) == []
    assert "below the majority-class baseline" in next(of_floor(Results(made_study("DG", majority_baseline=0.6))))
    (no_better,) = of_floor(Results(made_study("EG", majority_baseline=0.28, right={"E": 0.281})))
    assert "E (probe self-supervised) is not significantly above G (the floor)" in no_better


def test_optimism_is_stated_small_or_large(made_study: MadeStudy) -> None:
    assert "inflated the scores by 1.2 points" in next(of_selection(Results(made_study("AB"))))
    study = made_study("AB")
    small = study.model_copy(update={"trials": tuple(c.model_copy(update={"optimism": 0.004}) for c in study.trials)})
    assert "hardly changed the scores: 0.4 points" in next(of_selection(Results(small)))
    assert list(of_selection(Results(made_study("DG")))) == [], "nothing was selected by validation images"


def test_a_learning_rate_at_the_end_of_those_tried_is_told(made_study: MadeStudy) -> None:
    study = made_study("ABCD", seeds=(0,))

    def said(chosen: dict[str, float]) -> list[str]:
        """What is said when settings chose so, of 0.001, 0.003 and 0.01."""
        trials = tuple(
            trial.model_copy(update={"chosen": {"lr": chosen[trial.setting]}, "tried": (0.001, 0.003, 0.01)})
            if trial.setting in chosen
            else trial
            for trial in study.trials
        )
        return list(of_grid_edges(Results(study.model_copy(update={"trials": trials}))))

    assert said({"A": 0.003, "B": 0.003}) == []
    assert said({"A": 0.01, "B": 0.01, "C": 0.001}) == [
        "The learning rate selected for A and B is the largest tried (0.01): a larger one may be better."
        " An optimizer.lr three times as large centers the grid there.",
        "The learning rate selected for C is the smallest tried (0.001): a smaller one may be better."
        " An optimizer.lr three times as small centers the grid there.",
    ]


def test_one_seed_is_owned_up_to(made_study: MadeStudy) -> None:
    assert "One seed per trial" in next(of_seeds(Results(made_study(seeds=(0,)))))
    some = Results(made_study("AD", skip=lambda s, f, k: s == "A" and k > 0))
    assert next(of_seeds(some)).startswith("3 of 6 results rest on one seed so far")
    assert list(of_seeds(Results(made_study(seeds=(0, 1))))) == []
    assert "One seed so far" in next(of_seeds(Results(made_study(skip=lambda s, f, k: k > 0))))


def test_images_that_pre_training_did_without_are_counted(made_study: MadeStudy) -> None:
    left = ({"folder": "corpus", "images": 12, "of": 20_000}, {"folder": "pool", "images": 0, "of": 1_234})
    some, none = of_excluded(Results(made_study(excluded=left)))
    assert some.startswith("Excluded from pre-training: 12 of 20,000 training images of corpus, duplicates or")
    assert none.startswith("None of the 1,234 training images of pool duplicates, or nearly duplicates,")
    assert list(of_excluded(Results(made_study()))) == []


def test_shared_pre_training_and_the_family_are_said(made_study: MadeStudy) -> None:
    (shared,) = of_weights(Results(made_study("ABCE")))
    assert shared.startswith("C and E rest on weights that were pre-trained once: the intervals hold for these weights")
    assert list(of_weights(Results(made_study("ABD")))) == []
    results = Results(made_study("ABC"))
    assert len([*of_family(results)]) == 1, "B is far above: chance adds nothing to its score"
    family, winner = of_family(Results(made_study("ABC", right=dict.fromkeys("ABC", 0.7))))
    assert f"all {len(results.family)} comparisons hold together with 95 %" in family
    assert len(results.family) == 3 * 2 + 1, "B and C against A at three fractions, and each other with all labels"
    assert "The highest of 3 scores is named after looking" in winner
    assert list(of_family(Results(made_study("A")))) == []
    assert list(of_improvement(Results(made_study("BD")))) == []
    assert "D (probe supervised) would score" not in "".join(of_improvement(results))


def test_failures_come_first(made_study: MadeStudy) -> None:
    results = Results(made_study(fail=lambda s, f, k: s in "CE" and k == 1))
    assert findings(results)[0].startswith("6 of 63 trials failed (C and E); the same command")
    assert list(of_failures(Results(made_study()))) == []


@pytest.mark.parametrize("study", [{}, {"settings": "A"}, {"skip": lambda *_: True}, {"fail": lambda *_: True}])
def test_every_verdict_is_a_sentence(made_study: MadeStudy, study: dict[str, object]) -> None:
    for said in (headline(Results(made_study(**study))), *findings(Results(made_study(**study)))):
        assert said[0].isupper() or said[0].isdigit()
        assert said.endswith((".", "</b>"))


def test_trainings_that_a_budget_made_shorter_are_named(made_study: MadeStudy) -> None:
    assert list(of_length(Results(made_study("AB")))) == []
    (said,) = of_length(Results(made_study("AB", shortened="48 px, 2 epochs, where quick asks for 160 px, 6 epochs")))
    assert "48 px, 2 epochs, where quick asks for 160 px, 6 epochs" in said
