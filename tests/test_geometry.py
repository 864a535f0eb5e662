"""Windows along one axis, against enumeration and against torch's pools."""

import doctest

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from faltung import geometry
from faltung.geometry import ReceptiveField, Window, extent, pads, receptive_field

sizes = st.integers(1, 5)
windows = st.builds(
    Window, sizes, st.integers(1, 4), st.integers(1, 3), st.integers(0, 6), st.integers(0, 6)
)
lengths = st.integers(1, 14)


def test_every_example_in_the_docstrings_holds() -> None:
    result = doctest.testmod(geometry)
    assert result.attempted >= 11
    assert result.failed == 0


def starts(window: Window, length: int) -> list[int]:
    """Return where windows start that lie wholly on the padded axis, by trying every place."""
    places = range(-window.before, length + window.after - window.extent + 1)
    return [start for start in places if (start + window.before) % window.stride == 0]


@given(windows, lengths)
def test_output_counts_the_windows_that_lie_on_the_axis(window: Window, length: int) -> None:
    assume(window.extent <= length + window.before + window.after)
    found = starts(window, length)
    assert window.output(length) == len(found)
    assert [window.start(i) for i in range(len(found))] == found


@given(windows, lengths)
def test_taps_are_the_positions_inside(window: Window, length: int) -> None:
    for index, start in enumerate(starts(window, length)):
        taps = [start + r * window.dilation for r in range(window.size)]
        inside = [tap for tap in taps if 0 <= tap < length]
        assert list(window.taps(index, length)) == inside
        if inside:
            assert taps[window.first_tap(index)] == inside[0]


@given(windows, lengths)
def test_blind_names_the_first_window_without_taps(window: Window, length: int) -> None:
    assume(window.output(length) >= 1)
    blind = [i for i in range(window.output(length)) if not window.taps(i, length)]
    found = window.blind(length)
    assert (found is None) == (not blind)
    if window.dilation > 1 and blind:
        assert found == blind[0]
    if found is not None:
        assert found in blind


@given(windows, lengths, st.booleans())
def test_fit_covers_the_axis_exactly(window: Window, length: int, ceil: bool) -> None:
    whole = Window(window.size, window.stride, window.dilation, window.before, window.after, ceil)
    assume(whole.output(length) >= 1)
    before, after = whole.fit(length)
    plain = Window(window.size, window.stride, window.dilation)
    framed = before + length + after
    assert plain.output(framed) == whole.output(length)
    assert (plain.output(framed) - 1) * plain.stride + plain.extent == framed


@given(windows, st.integers(1, 9))
def test_inverse_leads_back(window: Window, outputs: int) -> None:
    length = window.inverse(outputs)
    assume(length >= 1)
    for extra in range(window.stride):
        assert window.output(window.inverse(outputs, extra)) == outputs


@given(sizes, st.integers(1, 4), st.integers(0, 2), st.integers(1, 14))
def test_ceil_is_torchs(size: int, stride: int, padding: int, length: int) -> None:
    assume(2 * padding <= size <= length + 2 * padding)
    window = Window(size, stride, 1, padding, padding, ceil=True)
    x = torch.ones(1, 1, length, 1)
    arguments = ((size, 1), (stride, 1), (padding, 0))
    pooled = torch.nn.functional.avg_pool2d(x, *arguments, ceil_mode=True)
    assert window.output(length) == pooled.shape[2]
    for i in range(pooled.shape[2]):
        share = len(window.taps(i, length)) / window.counted(i, length, padding=True)
        assert pooled[0, 0, i, 0].item() == pytest.approx(share)
        assert window.counted(i, length, padding=False) == len(window.taps(i, length))


@given(lengths, sizes, st.integers(1, 4), st.integers(1, 3))
def test_the_same_family_gives_the_rounded_up_quotient(
    length: int, size: int, stride: int, dilation: int
) -> None:
    for rule in ("same", "same_upper", "same_lower"):
        before, after = pads(rule, length, size, stride, dilation)
        assert Window(size, stride, dilation, before, after).output(length) == -(-length // stride)
        late = after - before if rule != "same_lower" else before - after
        assert late in {0, 1}
    same, mirrored = (
        pads("same", length, size, stride, dilation, mirrored=m) for m in (False, True)
    )
    assert same == pads("same_upper", length, size, stride, dilation, mirrored=True)
    assert mirrored == same[::-1] == pads("same_lower", length, size, stride, dilation)


def test_valid_and_full() -> None:
    assert pads("valid", 9, 3) == (0, 0)
    assert pads("full", 9, 3, dilation=2) == (4, 4)
    assert extent(1, 7) == 1


chains = st.lists(
    st.builds(Window, sizes, st.integers(1, 3), st.integers(1, 2), st.integers(0, 2)), max_size=4
)


@given(chains, st.integers(0, 3))
def test_the_receptive_field_spans_every_tap_of_a_chain(chain: list[Window], index: int) -> None:
    cells = {index}
    for window in reversed(chain):
        cells = {
            window.start(cell) + r * window.dilation for cell in cells for r in range(window.size)
        }
    span = receptive_field(chain).span(index)
    assert (span.start, span.stop - 1) == (min(cells), max(cells))


def test_a_field_may_exceed_the_input_and_is_clipped_to_it() -> None:
    field = ReceptiveField(size=9, jump=4, start=-3)
    assert field.span(0) == range(-3, 6)
    assert field.clipped(0, 5) == range(5)
    assert field.clipped(1, 5) == range(1, 5)
    assert len(field.clipped(2, 5)) == 0
