import os
from pathlib import Path

from epp.config.stamp import stamp_of


def test_a_file_that_is_written_replaced_or_relinked_has_another_stamp(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    assert stamp_of(file) is None
    file.write_text("a")
    first = stamp_of(file)
    assert first == stamp_of(file)
    file.write_text("ab")
    second = stamp_of(file)
    other.write_text("ab")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.replace(file)
    third = stamp_of(file)
    assert len({None, first, second, third}) == 4


def test_the_file_behind_a_link_counts(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config").write_text("same")
    data = tmp_path / "..data"
    data.symlink_to("1")
    before = stamp_of(data / "config")
    new = tmp_path / "new"
    new.symlink_to("2")
    new.rename(data)
    assert stamp_of(data / "config") != before
