"""Environment variables and the folders that follow from them."""

from pathlib import Path

import pytest

from faltung import settings
from faltung.errors import ArgumentError


def test_an_unset_or_empty_variable_names_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FALTUNG_DATA", raising=False)
    assert settings.data_folder() is None
    monkeypatch.setenv("FALTUNG_DATA", "")
    assert settings.data_folder() is None


def test_a_folder_is_returned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FALTUNG_DATA", str(tmp_path))
    assert settings.data_folder() == tmp_path


def test_what_is_no_folder_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FALTUNG_DATA", str(tmp_path / "none"))
    with pytest.raises(ArgumentError) as caught:
        settings.data_folder()
    assert str(caught.value) == (
        f"FALTUNG_DATA is {str(tmp_path / 'none')!r}, which is not a folder: name a folder that "
        f"exists, or unset the variable"
    )


def test_the_cache_folder_bears_the_name() -> None:
    assert "faltung" in settings.cache_folder().parts


def test_algorithms_are_some_of_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FALTUNG_ALGORITHM", raising=False)
    assert settings.algorithms(["dense", "winograd"]) == ()
    monkeypatch.setenv("FALTUNG_ALGORITHM", "winograd, dense,")
    assert settings.algorithms(["dense", "winograd"]) == ("winograd", "dense")
    with pytest.raises(ArgumentError) as caught:
        settings.algorithms(["dense", "fft"])
    assert str(caught.value) == (
        "FALTUNG_ALGORITHM has 'winograd', which is no algorithm: use some of dense, fft, or unset "
        "the variable"
    )


def test_an_instruction_set_is_one_of_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FALTUNG_ISA", raising=False)
    assert settings.instruction_set() is None
    monkeypatch.setenv("FALTUNG_ISA", "avx2")
    assert settings.instruction_set() == "avx2"
    monkeypatch.setenv("FALTUNG_ISA", "mmx")
    with pytest.raises(ArgumentError) as caught:
        settings.instruction_set()
    assert str(caught.value) == (
        "FALTUNG_ISA is 'mmx', which is no instruction set: use one of amx, avx512, avx2, "
        "vector128, or unset the variable"
    )
