"""The journal: what the shipper reads while the server writes."""
from proxy_gpt.eventlog.shipper import read_lines


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path):
    path = tmp_path / "00000000"
    path.write_bytes(b"one\ntwo\nthr")
    assert list(read_lines(path, 0)) == [([b"one", b"two"], 8)]
    reading = read_lines(path, 0)
    next(reading)
    with path.open("ab") as file:
        file.write(b"ee\nfour\n")
    assert list(reading) == [([b"three", b"four"], 19)]
    assert list(read_lines(path, 8)) == [([b"three", b"four"], 19)]


def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path):
    path = tmp_path / "00000000"
    path.write_bytes(b"x" * 1_000_000 + b"\nshort\n")
    assert [line for lines, _ in read_lines(path, 0) for line in lines] == [b"x" * 1_000_000, b"short"]
