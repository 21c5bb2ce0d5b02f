"""What makes a plan no study: settings, label fractions, seeds, recipes."""

from __future__ import annotations

from headstart.comparison.settings import SETTINGS
from headstart.errors import HeadstartError
from headstart.studies.plan import CONTINUED, PRETRAINING_OF, SUPERVISED, Plan


def validate_plan(plan: Plan) -> None:
    """Raise HeadstartError for settings, label fractions, seeds or recipes that make no study."""
    again = "headstart study --help"
    unknown = [setting for setting in plan.settings if setting not in SETTINGS]
    if unknown or not plan.settings or len(set(plan.settings)) < len(plan.settings):
        raise HeadstartError(
            f"--settings: expected letters of {''.join(SETTINGS)}, each once, found {plan.settings or 'none'}", again
        )
    bad = [share for share in plan.fractions if not 0 < share <= 1 or plan.fractions.count(share) > 1]
    if bad or not plan.fractions:
        raise HeadstartError(f"--labels: expected shares above 0 and up to 1, each once, found {bad or 'none'}", again)
    if not 0 < plan.margin < 100:
        raise HeadstartError(f"--margin: expected points above 0 and below 100, found {plan.margin:g}", again)
    if plan.target_score is not None and not 0 < plan.target_score < 100:
        raise HeadstartError(f"--target: expected per cent above 0 and below 100, found {plan.target_score:g}", again)
    if not plan.seeds:
        raise HeadstartError("--seeds: expected at least 1, found 0", again)
    if not 1 <= plan.pretrainings <= len(plan.seeds):
        raise HeadstartError(
            f"--pretrainings: expected 1 to {len(plan.seeds)}, at most one for each seed, found {plan.pretrainings}",
            f"--pretrainings {len(plan.seeds)}, or --seeds {plan.pretrainings}" if plan.pretrainings > 0 else again,
        )
    if plan.pretrainings > 1 and not plan.pretrained_kinds():
        raise HeadstartError(
            f"--pretrainings {plan.pretrainings}: expected a setting that is pre-trained, found {plan.settings}",
            "--settings with C, E or F, or --corpus FOLDER",
        )
    from headstart.tasks import TASKS, task_named  # `headstart --help` reads this module without torch

    if task_named(plan.pretraining.task).target != "none":
        unlabeled = ", ".join(name for name, task in TASKS.items() if task.target == "none")
        raise HeadstartError(
            f"--pretraining {plan.pretraining.name}: expected a recipe of a task without labels ({unlabeled}), found"
            f" the task {plan.pretraining.task}",
            "headstart recipe ls",
        )
    wanting = [setting for setting in plan.settings if PRETRAINING_OF.get(setting) in (SUPERVISED, CONTINUED)]
    if wanting and plan.corpus is None and plan.recipe.backbone.weights == "none":
        raise HeadstartError(
            f"setting {wanting[0]}: expected supervised weights, found backbone.weights none in {plan.recipe.name} and"
            " no --corpus",
            "headstart study DATA --corpus FOLDER, or backbone.weights=imagenet-lite",
        )
