"""The oracle of why in short; `python -m tests.oracles why` is the long form."""

from __future__ import annotations

from tests.oracles.book import Book, Entry, Place, Thing, Truth
from tests.oracles.why import UNKNOWN_AT_MOST, Tally, badly_instrumented, differs, full_ledger, sampled, with_losses


def right(tally: Tally) -> bool:
    assert tally.wrong == []
    return tally.asked > 50


def test_the_full_ledger_agrees_with_brute_force() -> None:
    tally = full_ledger(20)
    assert right(tally)
    assert tally.unknown <= tally.asked // 50


def test_sampled_evidence_changes_no_verdict() -> None:
    assert right(sampled(6))


def test_lost_events_leave_the_truth_or_unknown() -> None:
    tally = with_losses(10)
    assert right(tally)
    assert 0 < tally.unknown < tally.asked


def test_bad_instrumentation_gives_no_confident_wrong_answer() -> None:
    tally = badly_instrumented(30)
    assert right(tally)
    assert tally.share <= UNKNOWN_AT_MOST + 0.1  # of so few


def test_the_oracle_sees_a_wrong_answer() -> None:
    book, thing = Book(), Thing("a", None, {})
    book.new(thing)
    first, second = Place("search", 0), Place("filter", 1)
    book.places += [first, second]
    book.note(first, thing, "kept")
    book.note(second, thing, "rejected", reason="no")
    truth = book.fate(thing)
    assert (truth.verdict, truth.step) == ("rejected", "filter")
    told = {"verdict": "rejected", "step_name": "filter", "reason": "no"}
    assert differs(truth, told, book) is None
    for wrong in ({"verdict": "lost"}, {"step_name": "search"}, {"reason": "other"}):
        assert differs(truth, told | wrong, book) is not None


def test_what_the_code_does_not_mention_shows_as_a_gap() -> None:
    book, thing = Book(), Thing("a", None, {})
    book.new(thing)
    places = [Place("search", 0), Place("filter", 1, mentioned=False), Place("rank", 2)]
    book.places += places
    book.entries[id(thing)] = [Entry(places[0], "kept", {}), Entry(places[1], "rejected", {})]
    assert book.fate(thing) == Truth("lost", "search", also=(("lost", "search"),))
    book.places.pop()
    assert book.fate(thing).verdict == "survived"
