"""Altair charts of studies, in one theme, with the data and the runs behind each. Draws; runs nothing."""

from cemag.charts.renderer import enable_renderer
from cemag.reproduction.charts.augmenters import added_and_law, augmenter_quantities, frequency_and_intensity
from cemag.reproduction.charts.authors import authors_agreement, authors_heads
from cemag.reproduction.charts.benchmarks import audit_scale, audit_times, learning_curve, standard_recipe
from cemag.reproduction.charts.causes import (
    CausalAnswers,
    PlantedGallery,
    deletions,
    dose_response,
    planted_contrasts,
)
from cemag.reproduction.charts.concentration import intervention_arrows, intervention_effects
from cemag.reproduction.charts.embeddings import ce_bars
from cemag.reproduction.charts.explorer import Explorer
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.images import (
    Gallery,
    class_profile,
    image_coverage,
    image_settings,
    learning,
    recall_and_size,
    required_and_size,
    scores,
)
from cemag.reproduction.charts.nulls import relations_and_nulls, rules_and_nulls
from cemag.reproduction.charts.scorecard import (
    Scorecard,
    changes_after_data,
    claim_intervals,
    coverage_of_intervals,
    error_rates_of_words,
    plan_table,
    sensitivity_matrix,
    unstated_choices,
)
from cemag.reproduction.charts.side_by_side import side_by_side
from cemag.reproduction.charts.studies import (
    augmentation_effect,
    concentration,
    frequency_against_magnitude,
    performance,
    relations,
    required,
)
from cemag.reproduction.charts.sweep import sweep
from cemag.reproduction.charts.theory import (
    bound_and_count,
    head_and_shares,
    law_and_simulation,
    sets_and_laws,
)
from cemag.reproduction.charts.verdicts import VerdictTable

__all__ = [
    "CausalAnswers",
    "Explorer",
    "Figure",
    "Gallery",
    "PlantedGallery",
    "Scorecard",
    "VerdictTable",
    "added_and_law",
    "audit_scale",
    "audit_times",
    "augmentation_effect",
    "augmenter_quantities",
    "authors_agreement",
    "authors_heads",
    "bound_and_count",
    "ce_bars",
    "changes_after_data",
    "claim_intervals",
    "class_profile",
    "concentration",
    "coverage_of_intervals",
    "deletions",
    "dose_response",
    "enable_renderer",
    "error_rates_of_words",
    "frequency_against_magnitude",
    "frequency_and_intensity",
    "head_and_shares",
    "image_coverage",
    "image_settings",
    "intervention_arrows",
    "intervention_effects",
    "law_and_simulation",
    "learning",
    "learning_curve",
    "performance",
    "plan_table",
    "planted_contrasts",
    "recall_and_size",
    "relations",
    "relations_and_nulls",
    "required",
    "required_and_size",
    "rules_and_nulls",
    "scores",
    "sensitivity_matrix",
    "sets_and_laws",
    "side_by_side",
    "standard_recipe",
    "sweep",
    "unstated_choices",
]
