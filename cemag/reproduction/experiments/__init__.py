"""Experiments that decide causes: planted features, and interventions on heads. Keeps its records."""

from cemag.reproduction.experiments.cells import causes_plan, cells_of, planted_effects
from cemag.reproduction.experiments.glued import glued
from cemag.reproduction.experiments.planted import Cell, bayes_effect

__all__ = ["Cell", "bayes_effect", "causes_plan", "cells_of", "glued", "planted_effects"]
