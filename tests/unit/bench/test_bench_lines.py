"""Evidence is read while it's written."""

from pathlib import Path

from bench.lines import LineFile, LineReader, whole_lines


def test_each_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    """What is appended comes at the next look; half a line waits for its end."""
    path = tmp_path / "lines"
    file = LineFile(path)
    with LineReader(path) as reader:
        file.add("a 1\nb")
        file.flush()
        assert list(reader.lines()) == [["a", "1"]]
        assert list(reader.lines()) == []
        file.add(" 2\nc 3\n")
        file.flush()
        assert list(reader.lines()) == [["b", "2"], ["c", "3"]]
    file.add("d")
    file.close()
    assert list(whole_lines(path)) == [["a", "1"], ["b", "2"], ["c", "3"]]
