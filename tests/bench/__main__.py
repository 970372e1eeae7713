"""`python -m tests.bench [SECTION …]`: measures and prints the README's table. Exit status 1 when a goal is not reached."""
import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench.load import check_tools
from tests.bench.sections import SECTIONS

HEAD = ("what", "reference", "proxy", "ratio", "goal")


def line(*cells):
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def number(value):
    """Three figures of a number."""
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shown(row):
    """A row as a line."""
    ratio = "" if row.reference is None else f"{row.measure:.2f}"
    goal = f"{'≥' if row.at_least else '≤'} {row.goal:g}{' ×' if row.reference is not None else ''}"
    return line(row.what, number(row.reference), number(row.figure), ratio, goal + ("" if row.reached else " (missed)"))


def main():
    """Run the sections and print a line for each figure as soon as it is there."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures the proxy beside a bare passthrough.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all without")
    chosen = parser.parse_args().sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(unknown)}")
    check_tools()
    print(line(*HEAD), line("---", "--:", "--:", "--:", "--:"), sep="\n", flush=True)
    missed = False
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            for row in SECTIONS[name](Path(folder)):
                print(shown(row), flush=True)
                missed = missed or not row.reached
    sys.exit(missed)


if __name__ == "__main__":
    main()
