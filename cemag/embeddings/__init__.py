"""What a classification embedding (CE) is, for every model that ends in a weighted sum.

A CE is a model's last input after the class's weights and before the sum; the model decides from
the sum of the CEs and a bias. Pure arrays: reads and writes nothing.
"""

from cemag.embeddings.classification import ClassificationEmbeddings
from cemag.embeddings.features import KernelFeatures
from cemag.embeddings.margins import Margins

__all__ = ["ClassificationEmbeddings", "KernelFeatures", "Margins"]
