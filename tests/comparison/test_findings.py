"""Each verdict on both sides of its threshold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headstart.comparison.findings import (
    difference_sentence,
    findings,
    headline,
    of_best,
    of_choice,
    of_ends,
    of_failures,
    of_floor,
    of_frozen,
    of_harm,
    of_leaks,
    of_questions,
    of_seeds,
    of_worth,
    rounded,
)
from headstart.comparison.intervals import Difference
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.metrics.bootstrap import Interval

MadeStudy = Callable[..., Study]


def apart(value: float, low: float, high: float, needed: int | None, seeds: int = 3) -> Difference:
    return Difference(Interval(value, low, high), 406, seeds, needed)


def test_what_cannot_be_told_says_what_it_would_take() -> None:
    near = apart(0.01, -0.01, 0.03, 7013)
    assert (
        difference_sentence("B", "C", near)
        == "Cannot tell B from C with 406 validation images; about 7,000 would be needed."
    )
    assert "406 test images" in difference_sentence("B", "C", near, "test images")
    assert difference_sentence("B", "C", apart(0.0, -0.01, 0.01, None)).endswith("they are right equally often.")
    assert "3 seeds, which scatter: more seeds would help" in difference_sentence("B", "C", apart(0.05, -0.1, 0.2, 300))
    assert "one seed: more seeds" in difference_sentence("B", "C", apart(0.05, -0.001, 0.1, 400, seeds=1))


def test_what_can_be_told_says_which_way() -> None:
    assert (
        difference_sentence("B", "C", apart(0.02, 0.001, 0.04, 900))
        == "B is told from C: 2.0 points more (0.1 to 4.0)."
    )
    assert (
        difference_sentence("B", "C", apart(-0.02, -0.04, -0.001, 900))
        == "C is told from B: 2.0 points more (0.1 to 4.0)."
    )


def test_two_figures_are_enough_for_a_number_that_is_a_guess() -> None:
    assert [rounded(n) for n in (7013, 7, 43, 1251, 120_023)] == [7000, 7, 43, 1300, 120_000]


def test_the_best_is_told_from_the_next_or_not(made_study: MadeStudy) -> None:
    far = "".join(of_best(Results(made_study("AB"))))
    assert "With all 2,000 labels, fine-tuning supervised weights (B) comes first" in far
    assert "B is told from A" in far
    near = "".join(of_best(Results(made_study("BF"))))
    assert "Cannot tell" in near
    assert list(of_best(Results(made_study("A")))) == []


def test_the_headline_in_every_case(made_study: MadeStudy) -> None:
    assert "No trial is done yet" in headline(Results(made_study(skip=lambda *_: True)))
    assert "nothing to compare it with" in headline(Results(made_study("BD")))
    won = headline(Results(made_study("ABG")))
    assert "points more than from scratch; with 10 % of the labels (200) it is worth" in won
    assert "No pre-training comes above it" in headline(Results(made_study("ACG", right={"C": 0.4})))
    assert "not told from training from scratch" in headline(Results(made_study("AC", right={"C": 0.615})))
    assert "No pre" not in headline(Results(made_study("AG")))
    one = headline(Results(made_study("AB", fractions=(1.0,))))
    assert "worth" not in one, "one fraction has no worth to speak of"


def test_questions_are_answered_unless_the_best_two_did(made_study: MadeStudy) -> None:
    assert list(of_questions(Results(made_study("BC")))) == []
    (said,) = of_questions(Results(made_study("ABC", right={"A": 0.9})))
    assert said.startswith(
        "Fine-tuning supervised weights (B) against fine-tuning self-supervised weights (C), with all"
    )
    assert ": B is told from C" in said
    assert ": cannot tell D from E" in " ".join(of_questions(Results(made_study("ABDE", right={"E": 0.652}))))


def test_worth_is_said_at_the_fewest_labels_within_the_data(made_study: MadeStudy) -> None:
    said = list(of_worth(Results(made_study("ABCG"))))
    assert [each.split(" with ")[0] for each in said] == [
        "Fine-tuning supervised weights",
        "Fine-tuning self-supervised weights",
    ], "neither A nor the floor"
    assert "equals training from scratch with" in said[1]
    (one,) = of_worth(Results(made_study("AB", fractions=(1.0,))))
    assert "needs training from scratch with two label fractions" in one
    assert list(of_worth(Results(made_study("BD")))) == []
    begun = made_study("AD", skip=lambda s, f, k: s == "A")
    assert list(of_worth(Results(begun))) == [], "both fractions are to come"


def test_harm_is_said_only_beyond_the_interval(made_study: MadeStudy) -> None:
    (said,) = of_harm(Results(made_study("ABC", right={"C": 0.4})))
    assert "pre-training harms: fine-tuning self-supervised weights (C) is" in said
    assert "points below training from scratch" in said
    assert "it is below with 10 %" in said
    assert list(of_harm(Results(made_study("ABC", right={"C": 0.595}, fractions=(1.0,))))) == []
    assert list(of_harm(Results(made_study("AG")))) == [], "the floor is no pre-training"
    (frozen,) = of_harm(Results(made_study("AE", fractions=(1.0,))))
    assert "frozen features do not suffice" in frozen


def test_frozen_against_fine_tuned(made_study: MadeStudy) -> None:
    said = list(of_frozen(Results(made_study("CE", right={"E": 0.55}))))
    assert len(said) == 2
    assert said[0].startswith("With 10 % of the labels (200) freeze the backbone: E is")
    assert said[1].startswith("With all 2,000 labels training the whole backbone pays: C is")
    assert list(of_frozen(Results(made_study("BD", fractions=(1.0,), right={"D": 0.76})))) == []
    assert list(of_frozen(Results(made_study("ABC")))) == []


def test_the_floor(made_study: MadeStudy) -> None:
    above = list(of_floor(Results(made_study("DG"))))
    assert len(above) == 1
    assert "The floor is above guessing" in above[0]
    assert list(of_floor(Results(made_study("DG", commonest=0.28)))) == []
    assert "below guessing" in next(of_floor(Results(made_study("DG", commonest=0.6))))
    (no_better,) = of_floor(Results(made_study("EG", commonest=0.28, right={"E": 0.281})))
    assert "(E) is not shown to be above the floor (G)" in no_better


def test_optimism_is_stated_small_or_large(made_study: MadeStudy) -> None:
    assert "1.2 points too much" in next(of_choice(Results(made_study("AB"))))
    study = made_study("AB")
    small = study.model_copy(update={"trials": tuple(c.model_copy(update={"optimism": 0.004}) for c in study.trials)})
    assert "hardly more (0.4 points" in next(of_choice(Results(small)))
    assert list(of_choice(Results(made_study("DG")))) == [], "nothing was chosen by validation images"


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
        return list(of_ends(Results(study.model_copy(update={"trials": trials}))))

    assert said({"A": 0.003, "B": 0.003}) == []
    assert said({"A": 0.01, "B": 0.01, "C": 0.001}) == [
        "The learning rate chosen for A and B is the largest of those tried (0.01): a larger one may do better."
        " optimizer.lr=0.01 tries around it.",
        "The learning rate chosen for C is the smallest of those tried (0.001): a smaller one may do better."
        " optimizer.lr=0.001 tries around it.",
    ]


def test_one_seed_is_owned_up_to(made_study: MadeStudy) -> None:
    assert "One seed for each trial" in next(of_seeds(Results(made_study(seeds=(0,)))))
    some = Results(made_study("AD", skip=lambda s, f, k: s == "A" and k > 0))
    assert next(of_seeds(some)).startswith("3 of 6 lines rest on one seed so far")
    assert list(of_seeds(Results(made_study(seeds=(0, 1))))) == []
    assert "One seed so far" in next(of_seeds(Results(made_study(skip=lambda s, f, k: k > 0))))


def test_images_that_pre_training_did_without_are_counted(made_study: MadeStudy) -> None:
    left = ({"folder": "corpus", "images": 12, "of": 20_000}, {"folder": "pool", "images": 0, "of": 1_234})
    some, none = of_leaks(Results(made_study(left_out=left)))
    assert some.startswith("Left out of pre-training: 12 of 20,000 training images of corpus, which are, or look like,")
    assert none.startswith("None of the 1,234 training images of pool is, or looks like,")
    assert list(of_leaks(Results(made_study()))) == []


def test_failures_come_first(made_study: MadeStudy) -> None:
    results = Results(made_study(fail=lambda s, f, k: s in "CE" and k == 1))
    assert findings(results)[0].startswith("6 of 63 trials failed (C and E); the others stand")
    assert list(of_failures(Results(made_study()))) == []


@pytest.mark.parametrize("study", [{}, {"settings": "A"}, {"skip": lambda *_: True}, {"fail": lambda *_: True}])
def test_every_verdict_is_a_sentence(made_study: MadeStudy, study: dict[str, object]) -> None:
    for said in (headline(Results(made_study(**study))), *findings(Results(made_study(**study)))):
        assert said[0].isupper() or said[0].isdigit()
        assert said.endswith((".", "</b>"))
