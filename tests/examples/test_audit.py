from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import audit as audit_program
import pytest
from audit import audit
from bank_books import Books
from bank_draft import Order
from bank_messages import OpenAccount, Transfer


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Books with two accounts, numbers 1 and 2, and two transfers, numbers 3 and 4."""
    path = tmp_path / "bank.db"
    with closing(Books(path)) as books:
        books.execute([Order(OpenAccount("ana", 1000)), Order(OpenAccount("rui", 500))])
        books.execute([Order(Transfer("ana", "rui", 300), "rent"), Order(Transfer("rui", "ana", 20), "change")])
    return path


@pytest.fixture
def promises(tmp_path: Path) -> Path:
    path = tmp_path / "promises.txt"
    path.write_text("rent 3\nrent 3\nchange 4\ndear refused\nlate unknown\n")
    return path


def plant(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as books:
        books.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            assert books.execute(statement).rowcount, "a fault was planted"
        books.commit()


def test_true_books_are_found_true(database: Path, promises: Path) -> None:
    for files in ([], [promises]):
        findings = audit(database, files)
        assert str(findings) == "2 transfers, 0 lost, 0 duplicated, books balance"
        assert not findings.differences


@pytest.mark.parametrize(
    ("fault", "difference"),
    [
        ("DELETE FROM postings WHERE transfer = 3 AND account = 'rui'", "transfer 3 has 1 postings, which sum to -300"),
        ("DELETE FROM postings WHERE transfer = 4", "transfer 4 has 0 postings"),
        ("INSERT INTO postings VALUES ('equity', 3, 0, -1500)", "transfer 3 has 3 postings"),
        (
            "UPDATE postings SET cents = 301 WHERE transfer = 3 AND cents > 0",
            "transfer 3 has 2 postings, which sum to 1,",
        ),
        ("UPDATE transfers SET cents = 299 WHERE number = 3", "transfer 3 of 299 cents from ana to rui is not what"),
        ("UPDATE transfers SET source = 'rui', target = 'ana' WHERE number = 3", "transfer 3 of 300 cents from rui"),
        ("UPDATE postings SET account = 'equity' WHERE transfer = 3 AND cents > 0", "from ana to rui is not what"),
        ("DELETE FROM transfers WHERE number = 4", "belongs to transfer 4, which does not exist"),
        (
            "UPDATE accounts SET balance = 721 WHERE name = 'ana'",
            "the balance of ana is 721, but its postings sum to 720",
        ),
        ("UPDATE accounts SET balance = -1 WHERE name = 'ana'", "the balance of ana is negative: -1"),
        ("UPDATE accounts SET balance = 0 WHERE name = 'equity'", "all balances sum to 1500"),
        ("UPDATE postings SET balance = 701 WHERE balance = 700", "ana held 701 after transfer 3, but"),
        ("INSERT INTO accounts VALUES ('eva', 5)", "the balance of eva is 5, but its postings sum to 0"),
    ],
)
def test_books_that_do_not_balance_are_found(database: Path, promises: Path, fault: str, difference: str) -> None:
    plant(database, fault)
    findings = audit(database, [promises])
    assert not findings.balanced
    assert any(difference in text for text in findings.differences), findings.differences
    assert str(findings).endswith("books do not balance")


@pytest.mark.parametrize(
    ("fault", "difference"),
    [
        ("UPDATE transfers SET key = 'other' WHERE number = 3", "receipt 3 of transfer rent is not in the books"),
        (
            "UPDATE transfers SET key = CASE key WHEN 'rent' THEN 'change ' ELSE 'rent' END WHERE key IS NOT NULL",
            "receipt 3 of transfer rent is not in the books, which know it as [4]",
        ),
    ],
)
def test_lost_promises_are_found(database: Path, promises: Path, fault: str, difference: str) -> None:
    plant(database, fault)
    findings = audit(database, [promises])
    assert findings.lost
    assert findings.balanced
    assert any(difference in text for text in findings.differences), findings.differences


def test_a_promise_of_two_numbers_is_found(database: Path, promises: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.txt"
    second.write_text("rent 4\n")
    findings = audit(database, [promises, second])
    assert findings.lost == 1
    assert findings.differences == ["receipt 4 of transfer rent is not in the books, which know it as [3]"]


BOOK_AGAIN = (
    "INSERT INTO transfers (number, key, source, target, cents) VALUES (5, {key}, 'ana', 'rui', 300)",
    "INSERT INTO postings VALUES ('ana', 5, -300, 420), ('rui', 5, 300, 1080)",
    "UPDATE accounts SET balance = CASE name WHEN 'ana' THEN 420 ELSE 1080 END WHERE name IN ('ana', 'rui')",
)


@pytest.mark.parametrize(
    ("key", "difference"),
    [
        ("'other'", "transfer other is in the books as [5], but nobody asked for it"),
        ("'dear'", "transfer dear is in the books as [5], but it was refused"),
        ("NULL", "the opening deposit of rui was booked more than once"),
    ],
)
def test_transfers_that_nobody_asked_for_are_found(database: Path, promises: Path, key: str, difference: str) -> None:
    plant(database, *(statement.format(key=key) for statement in BOOK_AGAIN))
    findings = audit(database, [promises])
    assert (findings.lost, findings.duplicated, findings.balanced) == (0, 1, True)
    assert findings.differences == [difference]


def test_a_transfer_executed_twice_is_found(database: Path, promises: Path) -> None:
    plant(
        database,
        "CREATE TABLE copied AS SELECT * FROM transfers",
        "ALTER TABLE transfers RENAME TO unique_transfers",
        "ALTER TABLE copied RENAME TO transfers",
        *(statement.format(key="'rent'") for statement in BOOK_AGAIN),
    )
    findings = audit(database, [promises])
    assert (findings.lost, findings.duplicated, findings.balanced) == (0, 1, True)
    assert findings.differences == ["transfer rent was executed twice, as 3 and 5"]


def test_a_transfer_whose_outcome_is_unknown_may_be_there(database: Path, promises: Path) -> None:
    plant(database, *(statement.format(key="'late'") for statement in BOOK_AGAIN))
    assert not audit(database, [promises]).differences


def test_many_differences_are_counted_and_a_few_told(database: Path, promises: Path) -> None:
    promises.write_text(promises.read_text() + "".join(f"gone-{number} {number}\n" for number in range(10, 110)))
    findings = audit(database, [promises])
    assert findings.lost == 100
    assert len(findings.differences) == audit_program.SHOWN + 1
    assert findings.differences[-1] == "… and 90 more like these"


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_the_program_tells_and_its_status_says_so(database: Path, promises: Path, form: list[str]) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(audit_program.__file__), str(database), str(promises), *form]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = run()
    assert good.returncode == 0, good.stderr
    plant(database, "DELETE FROM transfers WHERE number = 4")
    bad = run()
    assert bad.returncode == 1, bad.stderr
    if form:
        assert json.loads(good.stdout)["transfers"] == 2
        assert json.loads(bad.stdout)["lost"] == 1
    else:
        assert good.stdout == "2 transfers, 0 lost, 0 duplicated, books balance\n"
        assert bad.stdout.endswith("2 transfers, 1 lost, 0 duplicated, books do not balance\n")
