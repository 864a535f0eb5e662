"""Layers: drop-ins for torch's, with every padding of `faltung.functional` and strict convolution.

`Conv2d`, `ConvTranspose2d`, `MaxPool2d` and `AvgPool2d` are subclasses of torch's, with the same
signatures and state dicts; `MinPool2d` and `LocallyConnected2d` have no counterpart there.
"""

from faltung.nn.convolution import Conv2d, ConvTranspose2d
from faltung.nn.local import LocallyConnected2d
from faltung.nn.pooling import AvgPool2d, MaxPool2d, MinPool2d

__all__ = [
    "AvgPool2d",
    "Conv2d",
    "ConvTranspose2d",
    "LocallyConnected2d",
    "MaxPool2d",
    "MinPool2d",
]
