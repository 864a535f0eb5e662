"""Every error of functions and layers, word for word."""

import numpy as np
import pytest
import torch

from faltung import errors, nn
from faltung import functional as F

z = torch.zeros

TABLE = [
    (
        "F.conv2d(np.zeros((1, 1, 4, 4)), z(1, 1, 3, 3))",
        errors.DtypeError,
        "input is a numpy.ndarray: conv2d takes a torch.Tensor; use torch.as_tensor(input)",
    ),
    (
        "F.conv2d([1], z(1, 1, 3, 3))",
        errors.DtypeError,
        "input is a list: conv2d takes a torch.Tensor; use torch.as_tensor(input)",
    ),
    (
        "F.conv2d(z(28, 28), z(8, 1, 3, 3))",
        errors.ShapeError,
        "input has 2 dimensions (shape (28, 28)): conv2d takes (N, C, H, W) or (C, H, W); add"
        " the missing ones with input[None, None]",
    ),
    (
        "F.conv2d(z(28), z(8, 1, 3, 3))",
        errors.ShapeError,
        "input has 1 dimension (shape (28,)): conv2d takes (N, C, H, W) or (C, H, W); reshape it",
    ),
    (
        "F.conv2d(z(1, 1, 2, 5, 5), z(8, 1, 3, 3))",
        errors.ShapeError,
        "input has 5 dimensions (shape (1, 1, 2, 5, 5)): conv2d takes (N, C, H, W) or (C, H, "
        "W); join the first two with input.flatten(0, 1)",
    ),
    (
        "F.conv2d(z(1, 0, 5, 5), z(8, 1, 3, 3))",
        errors.ShapeError,
        "input has a size of zero (shape (1, 0, 5, 5)): only the batch may be empty; check "
        "the slicing that made it",
    ),
    (
        "F.conv2d(z(1, 1, 5, 5), z(8, 3, 3))",
        errors.ShapeError,
        "weight has 3 dimensions (shape (8, 3, 3)): conv2d takes (K, C / groups, R, S)",
    ),
    (
        "F.conv2d(z(1, 1, 5, 5), z(8, 1, 0, 3))",
        errors.ShapeError,
        "weight has a size of zero (shape (8, 1, 0, 3)): every kernel needs at least one "
        "channel and one tap",
    ),
    (
        "F.conv2d(z(1, 1, 5, 5), np.zeros((1, 1, 3, 3)))",
        errors.DtypeError,
        "weight is a numpy.ndarray: conv2d takes a torch.Tensor; use torch.as_tensor(weight)",
    ),
    (
        "F.conv2d(z(8, 1, 28, 28), z(4, 3, 5, 5))",
        errors.ShapeError,
        "weight has 3 input channels but input has 1 (shape (8, 1, 28, 28)): the image looks "
        "grayscale; use in_channels=1, or repeat the channel",
    ),
    (
        "F.conv2d(z(8, 3, 28, 28), z(4, 1, 5, 5))",
        errors.ShapeError,
        "weight has 1 input channel but input has 3 (shape (8, 3, 28, 28)): the image looks "
        "like colour; use in_channels=3, or average it with input.mean(1, keepdim=True)",
    ),
    (
        "F.conv2d(z(3, 28, 28), z(4, 1, 5, 5))",
        errors.ShapeError,
        "weight has 1 input channel but input has 3 (shape (3, 28, 28)): the image looks like"
        " colour; use in_channels=3, or average it with input.mean(0, keepdim=True)",
    ),
    (
        "F.conv2d(z(8, 28, 28, 3), z(4, 3, 5, 5))",
        errors.ShapeError,
        "weight has 3 input channels but input has 28 (shape (8, 28, 28, 3)): the channels "
        "look last, as (H, W, C) arrays have them; move them with input.permute(0, 3, 1, 2)",
    ),
    (
        "F.conv2d(z(28, 28, 3), z(4, 3, 5, 5))",
        errors.ShapeError,
        "weight has 3 input channels but input has 28 (shape (28, 28, 3)): the channels look "
        "last, as (H, W, C) arrays have them; move them with input.permute(2, 0, 1)",
    ),
    (
        "F.conv2d(z(64, 28, 28), z(4, 1, 5, 5))",
        errors.ShapeError,
        "weight has 1 input channel but input has 64 (shape (64, 28, 28)): this looks like a "
        "batch without channels; add them with input.unsqueeze(1)",
    ),
    (
        "F.conv2d(z(64, 16, 28), z(4, 16, 5, 5))",
        errors.ShapeError,
        "weight has 16 input channels but input has 64 (shape (64, 16, 28)): this looks like "
        "a batch with an axis missing; the axes are (N, C, H, W)",
    ),
    (
        "F.conv2d(z(1, 5, 28, 28), z(4, 16, 5, 5))",
        errors.ShapeError,
        "weight has 16 input channels but input has 5 (shape (1, 5, 28, 28)): use "
        "in_channels=5, or give the input 16 channels",
    ),
    (
        "F.conv2d(z(1, 5, 28, 28), z(4, 3, 5, 5), groups=2)",
        errors.ShapeError,
        "weight has 3 input channels a group, 6 with groups=2, but input has 5 (shape (1, 5, "
        "28, 28)): use in_channels=5, or other groups",
    ),
    (
        "F.conv2d(z(1, 6, 9, 9), z(3, 3, 3, 3), groups=2)",
        errors.ShapeError,
        "groups is 2, which does not divide the 3 output channels: use a divisor of 3, the "
        "greatest common divisor of 6 input and 3 output channels",
    ),
    (
        "F.conv2d(z(1, 6, 9, 9), z(4, 3, 3, 3), groups=0)",
        errors.ArgumentError,
        "groups is 0: it must be at least 1",
    ),
    (
        "F.conv2d(z(1, 1, 9, 9), z(4, 1, 3, 3), z(3))",
        errors.ShapeError,
        "bias has shape (3,): one number for each output needs (4,)",
    ),
    (
        "F.conv2d(z(1, 1, 9, 9), z(4, 1, 3, 3), np.zeros(4))",
        errors.DtypeError,
        "bias is a numpy.ndarray: this operation takes a torch.Tensor; use torch.as_tensor(bias)",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9, dtype=torch.uint8), z(4, 3, 3, 3))",
        errors.DtypeError,
        "input is uint8 but weight is float32: both must have one type; the input looks like "
        "an image of bytes; use input.float() / 255",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9, dtype=torch.float64), z(4, 3, 3, 3))",
        errors.DtypeError,
        "input is float64 but weight is float32: both must have one type; NumPy's default is "
        "float64; use input.to(weight.dtype)",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9, dtype=torch.float16), z(4, 3, 3, 3))",
        errors.DtypeError,
        "input is float16 but weight is float32: both must have one type; use "
        "input.to(weight.dtype), or convert the module with .to(input.dtype)",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), z(4, dtype=torch.float64))",
        errors.DtypeError,
        "input is float32 but bias is float64: both must have one type; use "
        "input.to(bias.dtype), or convert the module with .to(input.dtype)",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9, dtype=torch.bool), z(4, 3, 3, 3, dtype=torch.bool))",
        errors.DtypeError,
        "input is bool: conv2d takes floating point or complex64, complex128, uint8, int8, "
        "int16, int32, int64; convert it with input.float()",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9, dtype=torch.int32), z(4, 3, 3, 3, dtype=torch.int32), dilation=2)",
        errors.DtypeError,
        "input is int32 and dilation (2, 2): a dilated kernel takes integers only as int64; "
        "convert both with .long()",
    ),
    (
        'F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3, device="meta"))',
        errors.DeviceError,
        "input is on cpu but weight on meta: all tensors must be on one device; use "
        "input.to(weight.device)",
    ),
    (
        "F.conv2d(z(1, 3, 3, 9), z(4, 3, 5, 5))",
        errors.ShapeError,
        "the window is 5 rows high but the padded input only 3 (0 + 3 + 0): use a smaller "
        "kernel, more padding, or larger images (or fewer strided layers before this one)",
    ),
    (
        "F.conv2d(z(1, 3, 9, 4), z(4, 3, 3, 3), dilation=3, padding=1)",
        errors.ShapeError,
        "the window is 7 columns wide (kernel size 3, dilation 3) but the padded input only 6"
        " (1 + 4 + 1): use a smaller kernel, more padding, or larger images (or fewer strided"
        " layers before this one)",
    ),
    (
        'F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), padding="sme")',
        errors.ArgumentError,
        "padding is 'sme': the rules are 'valid', 'same', 'same_upper', 'same_lower', 'full';"
        " did you mean 'same'?",
    ),
    (
        'F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), padding="zzzzzz")',
        errors.ArgumentError,
        "padding is 'zzzzzz': the rules are 'valid', 'same', 'same_upper', 'same_lower', 'full'",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), padding=(1, 2, 3))",
        errors.ArgumentError,
        "padding is (1, 2, 3): it must be one number or (height, width)",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), padding=((1, 2), 3))",
        errors.ArgumentError,
        "padding is ((1, 2), 3): for each side on its own it must be ((top, bottom), (left, "
        "right))",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), padding=-1)",
        errors.ArgumentError,
        "padding is -1: it must be at least 0",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), padding=((0, 0), (0, -2)))",
        errors.ArgumentError,
        "padding is -2: it must be at least 0",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), stride=0)",
        errors.ArgumentError,
        "stride is 0: it must be at least 1",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), stride=1.5)",
        errors.ArgumentError,
        "stride is 1.5: it must be a whole number; use an int",
    ),
    (
        "F.conv2d(z(1, 3, 9, 9), z(4, 3, 3, 3), dilation=(1, 0))",
        errors.ArgumentError,
        "dilation is 0: it must be at least 1",
    ),
    (
        "F.conv_transpose2d(z(1, 3, 9, 9), z(4, 3, 3, 3))",
        errors.ShapeError,
        "weight has 4 input channels but input has 3 (shape (1, 3, 9, 9)): use in_channels=3,"
        " or give the input 4 channels",
    ),
    (
        "F.conv_transpose2d(z(1, 3, 9, 9), z(3, 3, 3, 3), output_padding=1)",
        errors.ArgumentError,
        "output_padding is 1: it must be smaller than stride (1) or dilation (1); use a "
        "larger stride, or pad the result",
    ),
    (
        'F.conv_transpose2d(z(1, 3, 9, 9), z(3, 3, 3, 3), None, 2, "same", 1)',
        errors.ArgumentError,
        "output_padding is 1 and padding 'same', which already says the size (18): use "
        "output_padding=0, or output_size",
    ),
    (
        "F.conv_transpose2d(z(1, 3, 9, 9), z(3, 3, 3, 3), None, 2, 0, 1, output_size=(19, 19))",
        errors.ArgumentError,
        "output_size is (19, 19) and output_padding (1, 1): both choose the size of the "
        "output; give one of them",
    ),
    (
        "F.conv_transpose2d(z(1, 3, 9, 9), z(3, 3, 3, 3), stride=2, output_size=(18, 19))",
        errors.ShapeError,
        "output_size asks for 18 rows, but this input, kernel, stride and padding can give 19"
        " to 20: choose one of these",
    ),
    (
        "F.conv_transpose2d(z(1, 3, 9, 9), z(3, 3, 3, 3), stride=2, output_size=(1, 2, 19))",
        errors.ShapeError,
        "output_size asks for 2 rows, but this input, kernel, stride and padding can give 19 "
        "to 20: choose one of these",
    ),
    (
        "F.conv_transpose2d(z(1, 3, 2, 2), z(3, 3, 3, 3), padding=2)",
        errors.ShapeError,
        "padding (2, 2) crops all 4 rows of the output: use less padding",
    ),
    (
        "F.conv_transpose2d(z(1, 3, 2, 2, dtype=torch.int32), z(3, 3, 3, 3, dtype=torch.int32))",
        errors.DtypeError,
        "input is int32: conv_transpose2d takes floating point or complex64, complex128, "
        "int64; convert it with input.float()",
    ),
    (
        "F.max_pool2d(z(1, 1, 5, 5), 0)",
        errors.ArgumentError,
        "kernel_size is 0: it must be at least 1",
    ),
    (
        "F.max_pool2d(z(1, 1, 5, 5), (2, 2, 2))",
        errors.ArgumentError,
        "kernel_size is (2, 2, 2): it must be one number or (height, width)",
    ),
    (
        "F.max_pool2d(z(1, 1, 5, 5), 2, padding=2)",
        errors.ShapeError,
        "padding is 2 and 2 around 5 rows: window 0 (size 2, dilation 1) would lie on nothing"
        " but padding; use less padding",
    ),
    (
        "F.min_pool2d(z(1, 1, 5, 1), (1, 2), dilation=3, padding=((0, 0), (1, 2)))",
        errors.ShapeError,
        "padding is 1 and 2 around 1 columns: window 0 (size 2, dilation 3) would lie on "
        "nothing but padding; use less padding",
    ),
    (
        "F.max_pool2d(z(1, 1, 5, 5, dtype=torch.bool), 2)",
        errors.DtypeError,
        "input is bool: max_pool2d takes floating point or uint8, int8, int16, int32, int64; "
        "of complex elements pool the magnitude, input.abs(); of bool, input.byte()",
    ),
    (
        "F.max_pool2d(z(1, 1, 5, 5, dtype=torch.complex64), 2)",
        errors.DtypeError,
        "input is complex64: max_pool2d takes floating point or uint8, int8, int16, int32, "
        "int64; of complex elements pool the magnitude, input.abs(); of bool, input.byte()",
    ),
    (
        "F.avg_pool2d(z(1, 1, 5, 5, dtype=torch.int32), 2)",
        errors.DtypeError,
        "input is int32: avg_pool2d takes floating point or int64; convert it with input.float()",
    ),
    (
        "F.avg_pool2d(z(1, 1, 5, 5), 2, divisor_override=0)",
        errors.ArgumentError,
        "divisor_override is 0: nothing can be divided by it; use None",
    ),
    (
        "F.avg_pool2d(z(1, 1, 5, 5), 7)",
        errors.ShapeError,
        "the window is 7 rows high but the padded input only 5 (0 + 5 + 0): use a smaller "
        "kernel, more padding, or larger images (or fewer strided layers before this one)",
    ),
    (
        'F.correlate2d(z(3, 3), z(2, 2), mode="all")',
        errors.ArgumentError,
        "mode is 'all': it must be 'valid', 'same' or 'full'",
    ),
    (
        "F.correlate2d(z(3, 3), np.zeros((2, 2)))",
        errors.DtypeError,
        "kernel is a ndarray: correlate2d takes two NumPy arrays or two torch tensors",
    ),
    (
        "F.correlate2d(z(1, 3, 3), z(2, 2))",
        errors.ShapeError,
        "image has shape (1, 3, 3): correlate2d takes planes (H, W) that are not empty; for "
        "channels and batches use conv2d",
    ),
    (
        "F.correlate2d(z(3, 3), z(0, 2))",
        errors.ShapeError,
        "kernel has shape (0, 2): correlate2d takes planes (H, W) that are not empty; for "
        "channels and batches use conv2d",
    ),
    (
        "F.correlate2d(z(3, 3), z(4, 2))",
        errors.ShapeError,
        "kernel is 4 high but image only 3: in mode 'valid' the kernel lies inside the image;"
        " use mode='same' or 'full', or swap the arguments",
    ),
    (
        "F.convolve2d(z(3, 3), z(2, 4))",
        errors.ShapeError,
        "kernel is 4 wide but image only 3: in mode 'valid' the kernel lies inside the image;"
        " use mode='same' or 'full', or swap the arguments",
    ),
    (
        'F.correlate2d(np.array([["a"]]), np.zeros((1, 1)))',
        errors.DtypeError,
        "image holds elements of type <U1: torch has no such type; convert it with "
        "image.astype(float)",
    ),
    (
        "F.local2d(z(1, 1, 5, 5), z(4, 4, 2, 1, 2, 3))",
        errors.ShapeError,
        "weight has kernels for 4 x 4 places, but input (shape (1, 1, 5, 5)) has 4 x 3: "
        "weights that are not shared fit one image size only",
    ),
    (
        "F.local2d(z(1, 1, 5, 5), z(4, 3, 2, 1, 2, 3), z(2))",
        errors.ShapeError,
        "bias has shape (2,): one number for each output needs (2, 4, 3)",
    ),
    (
        "nn.Conv2d(0, 1, 3)",
        errors.ArgumentError,
        "in_channels is 0: it must be at least 1",
    ),
    (
        "nn.Conv2d(6, 4, 3, groups=4)",
        errors.ShapeError,
        "groups is 4, which does not divide the 6 input channels: use a divisor of 2, the "
        "greatest common divisor of 6 input and 4 output channels",
    ),
    (
        'nn.Conv2d(1, 1, 3, padding_mode="mirror")',
        errors.ArgumentError,
        "padding_mode is 'mirror': it must be 'zeros', 'reflect', 'replicate' or 'circular'",
    ),
    (
        'nn.Conv2d(1, 1, 3, padding="both")',
        errors.ArgumentError,
        "padding is 'both': the rules are 'valid', 'same', 'same_upper', 'same_lower', 'full'",
    ),
    (
        'nn.Conv2d(1, 1, 7, padding=3, padding_mode="reflect")(z(1, 1, 9, 3))',
        errors.ShapeError,
        "padding is 3 columns but the image only 3 wide: with padding_mode='reflect' it must "
        "be smaller than the image; use less padding, or padding_mode='replicate'",
    ),
    (
        'nn.Conv2d(1, 1, 9, padding=4, padding_mode="circular")(z(1, 1, 3, 9))',
        errors.ShapeError,
        "padding is 4 rows but the image only 3 high: with padding_mode='circular' it must "
        "not exceed the image; use less padding, or padding_mode='replicate'",
    ),
    (
        'nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")',
        errors.ArgumentError,
        "padding_mode is 'reflect': a transposed convolution crops instead of padding; use 'zeros'",
    ),
    (
        "nn.MaxPool2d(2, stride=0)",
        errors.ArgumentError,
        "stride is 0: it must be at least 1",
    ),
    (
        'nn.MinPool2d(2, padding="some")',
        errors.ArgumentError,
        "padding is 'some': the rules are 'valid', 'same', 'same_upper', 'same_lower', "
        "'full'; did you mean 'same'?",
    ),
    (
        "nn.AvgPool2d(0)",
        errors.ArgumentError,
        "kernel_size is 0: it must be at least 1",
    ),
    (
        "nn.LocallyConnected2d(1, 1, 3, 5)",
        errors.ShapeError,
        "the window is 5 rows high but the padded input only 3 (0 + 3 + 0): use a smaller "
        "kernel, more padding, or larger images (or fewer strided layers before this one)",
    ),
]
NAMES = {"F": F, "nn": nn, "np": np, "torch": torch, "z": z}


@pytest.mark.parametrize(("call", "kind", "message"), TABLE, ids=[row[0] for row in TABLE])
def test_the_error_says_what_it_says(
    call: str, kind: type[errors.FaltungError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        eval(call, NAMES)  # noqa: S307 (the table above)
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_every_error_is_also_of_a_built_in_type() -> None:
    kinds = {
        errors.ShapeError: ValueError,
        errors.ArgumentError: ValueError,
        errors.DtypeError: TypeError,
        errors.DeviceError: RuntimeError,
        errors.DataError: ValueError,
        errors.RunError: RuntimeError,
        errors.ConfigError: ValueError,
        errors.TrainingError: RuntimeError,
        errors.MissingExtraError: ImportError,
    }
    for kind, built_in in kinds.items():
        assert issubclass(kind, errors.FaltungError)
        assert issubclass(kind, built_in)


def test_autocast_lets_floating_point_types_differ() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        y = F.conv2d(z(1, 1, 5, 5, dtype=torch.bfloat16), z(1, 1, 3, 3))
    assert y.dtype == torch.bfloat16
