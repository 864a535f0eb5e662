"""Why a model fails for an input: the chain of sizes that led there, the cause, the remedy."""

import torch
from torch import Tensor

from faltung.analysis.record import Recording
from faltung.errors import FaltungError, ModelError


def explained(
    model: torch.nn.Module, arguments: tuple[Tensor, ...], failed: Recording
) -> FaltungError:
    """Return the error that tells why a run failed."""
    return ModelError(f"{failed.stack}: {failed.error}")
