"""Compares the bank's books with themselves, and with what its tellers were promised.

``python audit.py bank.db promises-1.txt promises-2.txt``. Ends with status 1 where something differs.
"""

import argparse
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

UNNUMBERED = frozenset({"refused", "unknown"})
"""What may become of a transfer that has no receipt; unknown is one whose teller ended before the answer came."""
SHOWN = 10
"""How many differences of one kind are told in words."""

CHECKS = {
    "transfer {0} has {1} postings, which sum to {2}, in place of two that sum to 0": """
        SELECT number, coalesce(entries, 0), coalesce(summed, 0)
        FROM transfers
        LEFT JOIN (SELECT transfer, count(*) AS entries, sum(cents) AS summed FROM postings GROUP BY transfer)
        ON transfer = number
        WHERE entries IS NOT 2 OR summed IS NOT 0
    """,
    "transfer {0} of {3} cents from {1} to {2} is not what its postings say": """
        SELECT number, source, target, transfers.cents
        FROM transfers
        LEFT JOIN postings AS debit ON debit.transfer = number AND debit.account = source
        LEFT JOIN postings AS credit ON credit.transfer = number AND credit.account = target
        WHERE debit.cents IS NOT -transfers.cents OR credit.cents IS NOT transfers.cents
    """,
    "a posting to {1} belongs to transfer {0}, which does not exist": """
        SELECT transfer, account
        FROM postings LEFT JOIN transfers ON number = transfer
        WHERE number IS NULL
    """,
    "the balance of {0} is {1}, but its postings sum to {2:.0f}": """
        SELECT name, balance, total(cents)
        FROM accounts LEFT JOIN (SELECT account, cents FROM postings) ON account = name
        GROUP BY name HAVING balance != total(cents)
    """,
    "{0} held {2} after transfer {1}, but its postings until then sum to {3}": """
        SELECT account, transfer, balance, summed
        FROM (SELECT *, sum(cents) OVER (PARTITION BY account ORDER BY transfer) AS summed FROM postings)
        WHERE balance != summed
    """,
    "the balance of {0} is negative: {1}": """
        SELECT name, balance FROM accounts WHERE balance < 0 AND name != 'equity'
    """,
    "all balances sum to {0} in place of 0": """
        SELECT total(balance) FROM accounts HAVING total(balance) != 0
    """,
}
"""What must not be: how to say it, and the query that finds it."""


@dataclass
class Findings:
    """What an audit found.

    Attributes:
        transfers: How many transfers the tellers were given receipts for.
        lost: How many of them are not in the books with that number.
        duplicated: How many transfers are in the books beyond those that were asked for.
        differences: In words, what is lost, duplicated or out of balance.
    """

    transfers: int = 0
    lost: int = 0
    duplicated: int = 0
    balanced: bool = True
    differences: list[str] = field(default_factory=list)

    def tell(self, differences: Iterable[str]) -> int:
        """Note the differences, the first few in words; return how many there are."""
        iterator = iter(differences)
        told = [*islice(iterator, SHOWN)]
        more = sum(1 for _ in iterator)
        self.differences += told
        if more:
            self.differences.append(f"… and {more} more like these")
        return len(told) + more

    def __str__(self) -> str:
        balance = "books balance" if self.balanced else "books do not balance"
        return f"{self.transfers} transfers, {self.lost} lost, {self.duplicated} duplicated, {balance}"


def audit(database: Path, promises: Sequence[Path] = ()) -> Findings:
    """Check the books, and, where there are files of `promises`, that each was kept and nothing else was done."""
    findings = Findings()
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as books:
        books.execute("BEGIN")  # all queries see the same moment
        for text, query in CHECKS.items():
            if findings.tell(text.format(*row) for row in books.execute(query)):
                findings.balanced = False
        if promises:
            _compare(books, _read(promises), findings)
        else:
            (findings.transfers,) = books.execute("SELECT count(key) FROM transfers").fetchone()
    return findings


def _compare(books: sqlite3.Connection, promised: dict[str, set[str]], findings: Findings) -> None:
    booked: dict[str, list[int]] = {}
    for key, number in books.execute("SELECT key, number FROM transfers WHERE key IS NOT NULL"):
        booked.setdefault(key, []).append(number)
    findings.transfers = sum(bool(outcomes - UNNUMBERED) for outcomes in promised.values())
    findings.lost = findings.tell(_lost(promised, booked))
    findings.duplicated = findings.tell(_duplicated(promised, booked)) + findings.tell(_openings(books))


def _lost(promised: dict[str, set[str]], booked: dict[str, list[int]]) -> Iterator[str]:
    for key, outcomes in promised.items():
        for outcome in outcomes - UNNUMBERED:
            found = booked.get(key, [])
            if int(outcome) not in found:
                yield f"receipt {outcome} of transfer {key} is not in the books, which know it as {found or 'nothing'}"


def _duplicated(promised: dict[str, set[str]], booked: dict[str, list[int]]) -> Iterator[str]:
    for key, numbers in booked.items():
        if key not in promised:
            yield f"transfer {key} is in the books as {numbers}, but nobody asked for it"
        elif promised[key] == {"refused"}:
            yield f"transfer {key} is in the books as {numbers}, but it was refused"
        for number in numbers[1:]:
            yield f"transfer {key} was executed twice, as {numbers[0]} and {number}"


def _openings(books: sqlite3.Connection) -> Iterator[str]:
    deposits = Counter(target for (target,) in books.execute("SELECT target FROM transfers WHERE key IS NULL"))
    for account, count in deposits.items():
        for _ in range(count - 1):
            yield f"the opening deposit of {account} was booked more than once"


def _read(files: Iterable[Path]) -> dict[str, set[str]]:
    """What became of each key, as its teller wrote it."""
    promised: dict[str, set[str]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            key, outcome = line.split()
            promised.setdefault(key, set()).add(outcome)
    return promised


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Compare the bank's books with what was promised.")
    parser.add_argument("database", type=Path)
    parser.add_argument("promises", type=Path, nargs="*", help="files that tellers wrote")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    findings = audit(options.database, options.promises)
    print(json.dumps(asdict(findings)) if options.json else "\n".join([*findings.differences, str(findings)]))
    sys.exit(1 if findings.differences else 0)


if __name__ == "__main__":
    main()
