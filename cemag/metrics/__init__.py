"""The CE metrics: how many CEs are required, how concentrated they are, how magnitude follows frequency.

Pure functions of arrays, vectorised over instances and safe in memory (blocks, never N x C x d).
Reads and writes nothing.
"""

from cemag.metrics.concentration import (
    Concentration,
    concentration,
    half_normal_null,
    n_top,
    permuted_weights_null,
)
from cemag.metrics.cutoffs import OTHER_SHARES, cutoffs
from cemag.metrics.features import most_common, per_feature, still_correct
from cemag.metrics.frequency import WITHIN_ONE_LENGTH, Frequency, frequency
from cemag.metrics.instances import BY_CES, WITH_BIAS, draw_evenly, per_instance, permuted_null
from cemag.metrics.intervals import bootstrap_means, percentiles, unions, wilson
from cemag.metrics.measure import RELATIONS, TrainingView, measure, relations, sample_per_class
from cemag.metrics.nulls import concentration_against, permuted_weights, required_against
from cemag.metrics.performance import per_class_scores, scores
from cemag.metrics.relation import Relation, relation
from cemag.metrics.required import Required, ces_required, common_subset, required
from cemag.metrics.rules import RANKINGS, STABILITIES, SUFFICIENCIES, Rule, rules_for

__all__ = [
    "BY_CES",
    "OTHER_SHARES",
    "RANKINGS",
    "RELATIONS",
    "STABILITIES",
    "SUFFICIENCIES",
    "WITHIN_ONE_LENGTH",
    "WITH_BIAS",
    "Concentration",
    "Frequency",
    "Relation",
    "Required",
    "Rule",
    "TrainingView",
    "bootstrap_means",
    "ces_required",
    "common_subset",
    "concentration",
    "concentration_against",
    "cutoffs",
    "draw_evenly",
    "frequency",
    "half_normal_null",
    "measure",
    "most_common",
    "n_top",
    "per_class_scores",
    "per_feature",
    "per_instance",
    "percentiles",
    "permuted_null",
    "permuted_weights",
    "permuted_weights_null",
    "relation",
    "relations",
    "required",
    "required_against",
    "rules_for",
    "sample_per_class",
    "scores",
    "still_correct",
    "unions",
    "wilson",
]
