"""The journal: what the shipper reads while the server writes."""
from proxy_gpt.eventlog.shipper import read_lines


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path):
    path = tmp_path / "00000000"
    path.write_bytes(b"one\ntwo\nthr")
    reading = read_lines(path, 0)
    assert next(reading) == ([b"one\n", b"two\n"], 8)
    with path.open("ab") as file:
        file.write(b"ee\nfour\n")
    assert list(reading) == []  # the rest of the line alone would be taken for a torn one
    assert list(read_lines(path, 8)) == [([b"three\n", b"four\n"], 19)]
