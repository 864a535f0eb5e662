"""The layer whose weights are not shared."""

import math
from typing import Any

import torch
from torch import Tensor

from faltung import functional
from faltung.functional import checks
from faltung.functional.arguments import Padding, Pair, as_torch, padding_form, pair, sliding


class LocallyConnected2d(torch.nn.Module):
    """Layer with a kernel of its own at every place: locality without shared weights.

    Args:
        in_channels: Channels of the input, C.
        out_channels: Channels of the output, K.
        input_size: (height, width) of the only image size the layer takes; one number for a square.
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window.
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        bias: Add a learned number to each output.
        device: Where the parameters are made.
        dtype: Their element type.

    Attributes:
        weight: Kernels (Y, X, K, C, R, S), uniform in ±1/sqrt(C R S) as torch's convolutions start.
        bias: (K, Y, X), or None.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
        ShapeError: A window is larger than the padded input.
    """

    bias: torch.nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Pair,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        checks.layer_channels(in_channels, out_channels, 1)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.input_size = pair("input_size", input_size)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride, self.dilation = pair("stride", stride), pair("dilation", dilation)
        self.padding = as_torch(padding_form(padding))
        windows = sliding(
            self.input_size, self.kernel_size, self.stride, padding_form(padding), self.dilation
        )
        places = [w.output(n) for w, n in zip(windows, self.input_size, strict=True)]
        shape = (*places, out_channels, in_channels, *self.kernel_size)
        self.weight = torch.nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        made = torch.empty((out_channels, *places), device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", None if made is None else torch.nn.Parameter(made))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases anew, uniform in ±1/sqrt(C R S)."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[3:]))
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Return feature maps (N, K, Y, X), or (K, Y, X) for one image."""
        return functional.local2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation
        )

    def extra_repr(self) -> str:
        """Return channels, image size and window."""
        return (
            f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, bias={self.bias is not None}"
        )
