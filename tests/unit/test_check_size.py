"""The size check sees what it should; `make lint` runs it over the project."""

from pathlib import Path

from tools.check_size import CLASS_LINES, FILE_LINES, FUNCTION_LINES, too_large

HERE = Path("some.py")


def test_what_is_at_its_limit_passes() -> None:
    function = "def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1)
    klass = "class C:\n" + "    x = 1\n" * (CLASS_LINES - 1)
    assert list(too_large(HERE, function + klass)) == []
    assert list(too_large(HERE, "x = 1\n" * FILE_LINES)) == []


def test_what_is_over_is_named_with_its_line() -> None:
    function = "x = 1\nasync def long_one():\n" + "    x = 1\n" * FUNCTION_LINES
    assert list(too_large(HERE, function)) == ["some.py:2: function long_one has 51 lines, at most 50"]
    klass = "class Wide:\n" + "    x = 1\n" * CLASS_LINES
    assert list(too_large(HERE, klass)) == ["some.py:1: class Wide has 301 lines, at most 300"]
    assert list(too_large(HERE, "x = 1\n" * 501)) == ["some.py: 501 lines, a file has at most 500"]
