"""Numbers that the workers of one server share: each counts in a row of its own, and who is asked adds the rows up.

A worker that replaces a dead one goes on in its row, so that no count ever goes back. There is nothing on a disk, and
nothing is left behind.
"""
import mmap

MOST = 513  # rows: WEB_CONCURRENCY's bound, and one for more workers than that by gunicorn's own signals, who share it
SIZE = 8  # bytes of a number


class Cells:
    """Rows of so many numbers. Make it before the fork; memory that no worker counts in is not taken from the system."""

    def __init__(self, width, most=MOST):
        self.width, self.most = width, most
        self.memory = memoryview(mmap.mmap(-1, (1 + most * width) * SIZE)).cast("d")  # the first one says how many rows there are
        self.taken = set()
        self.mine = None  # the number of this process's row

    def take(self):
        """The number of a row for a new worker."""
        number = next((number for number in range(self.most - 1) if number not in self.taken), self.most - 1)
        self.taken.add(number)
        self.memory[0] = max(self.memory[0], number + 1)
        return number

    def give_back(self, number, passing):
        """The worker of a row is dead: its counts stay, but not those of its cells that say how things stand now."""
        self.taken.discard(number)
        row = self.row(number)
        for cell in passing:
            row[cell] = 0

    def row(self, number):
        """The cells of a row."""
        begin = 1 + number * self.width
        return self.memory[begin : begin + self.width]

    def rows(self):
        """All rows that were ever used."""
        return [self.row(number) for number in range(int(self.memory[0]))]
