"""What `prepare` had to change in an annotation file: how often, and where first."""

from collections import Counter


class Changes:
    """``count``: how many items of each kind of change, which is a text."""

    def __init__(self):
        self.count, self.first = Counter(), {}

    def add(self, what: str, noun: str, identifier: int) -> None:
        """Count one; ``noun`` is "annotation" or "image"."""
        self.count[what] += 1
        self.first.setdefault(what, (noun, identifier))

    def lines(self, **totals: int) -> list[str]:
        """A line a kind, such as "3 of 18 boxes reach out ...; the first: annotation 7".

        ``totals``: how many ``annotations`` and ``images`` the file has.
        """
        return [
            f"{count} of {totals[f'{noun}s']} {what}; the first: {noun} {identifier}"
            for what, count in self.count.items()
            for noun, identifier in [self.first[what]]
        ]
