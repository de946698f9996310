"""Sources of images, and which reader a name asks for."""

from pathlib import Path

from runtime.data.source import Files


def test_the_state_of_files_changes_with_them(tmp_path: Path) -> None:
    files = Files(tmp_path, ["a", "b"])
    assert (len(files), files[1], files.name(1), list(files)) == (
        2,
        tmp_path / "b",
        "b",
        [tmp_path / "a", tmp_path / "b"],
    )
    states = [list(files.states())]
    for content in (b"1", b"12"):
        (tmp_path / "a").write_bytes(content)
        states.append(list(files.states()))
    assert [state[0] for state in states] == [str(tmp_path.resolve())] * 3
    assert states[0] != states[1] != states[2]
