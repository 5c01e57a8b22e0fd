"""Experiments that decide causes: planted features, and interventions on heads. Keeps its records."""

from cemag.reproduction.experiments.answers import answers, causes_answers
from cemag.reproduction.experiments.cells import causes_plan, cells_of, planted_effects
from cemag.reproduction.experiments.glued import glued
from cemag.reproduction.experiments.keeping import folders_of_causes
from cemag.reproduction.experiments.natural import natural_effects
from cemag.reproduction.experiments.planted import Cell, bayes_effect

__all__ = [
    "Cell",
    "answers",
    "bayes_effect",
    "causes_answers",
    "causes_plan",
    "cells_of",
    "folders_of_causes",
    "glued",
    "natural_effects",
    "planted_effects",
]
