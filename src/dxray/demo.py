"""The story of the quick start: a pipeline that sometimes chooses a laptop stand as the rival of a phone case.

It looks for the best competitor of a product in four steps: a model writes keywords, a search finds
candidates, rules filter them, a score selects one. Model and search are played by seeded chance, so
the story is always the same, and the wrong runs look as good as the others. The fault is planted where such
faults live: two small things that are harmless apart.
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dxray import Client, XRay, configure, local
from dxray.client import DEFAULT_URL, ClientError
from dxray.wire.printed.why import why_lines
from dxray.wire.text import Line, duration, plain, wrap

if TYPE_CHECKING:
    from dxray.sdk.null import NullRun
    from dxray.sdk.run import Run

PIPELINE = "competitor_selection"
PRODUCT = "iPhone 15 Case, shockproof, with fold-out stand"
PROMPT = "Write search keywords that find products competing with: {title}"
CATEGORY = "phone_accessories"
SEED = 9
RIGHT_KINDS = ("phone case", "phone cover")
WIDTH = 80


@dataclass(frozen=True, slots=True)
class Product:
    """A thing for sale. Sellers leave the category out now and then; what it is (`kind`) the pipeline never sees."""

    id: str
    title: str
    kind: str
    category: str | None
    price: float
    rating: float | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run of the story, and what it chose."""

    run_id: str
    keywords: list[str]
    candidates: int
    selected: Product


# kind, how many, titles, category, how many in a hundred without it, price from and to, rating from and to
SHELVES = [
    ("phone case", 36, "{brand} {look} Case for iPhone 15", CATEGORY, 6, (9, 64), (2.8, 4.7)),
    ("phone case", 12, "{brand} {look} MagSafe Case for iPhone 15 Pro", CATEGORY, 6, (15, 130), (2.8, 4.7)),
    ("phone cover", 12, "{brand} {look} Silicone Cover for iPhone", CATEGORY, 0, (8, 40), (2.2, 4.4)),
    ("screen protector", 8, "{brand} {look} Screen Protector", CATEGORY, 0, (12, 25), (2.6, 4.2)),
    ("phone stand", 6, "{brand} {look} Phone Stand for the Desk", CATEGORY, 0, (12, 45), (2.9, 4.4)),
    ("laptop stand", 90, "{brand} {look} Laptop Stand", "laptop_accessories", 7, (11, 90), (3.1, 5.0)),
    ("laptop case", 110, "{brand} {look} Laptop Case, 14 inch", "laptop_accessories", 0, (15, 140), (2.9, 4.8)),
    ("guitar case", 60, "{brand} {look} Guitar Case", "music", 5, (60, 240), (2.8, 4.9)),
    ("music stand", 70, "{brand} {look} Music Stand", "music", 0, (14, 90), (2.8, 4.9)),
    ("glasses case", 80, "{brand} {look} Glasses Case", "eyewear", 0, (5, 40), (2.6, 4.8)),
    ("pencil case", 80, "{brand} {look} Pencil Case", "office", 0, (4, 30), (2.6, 4.9)),
    ("plant stand", 60, "{brand} {look} Plant Stand", "home", 0, (15, 150), (3.0, 4.8)),
]
BRANDS = ["Alder", "Birk", "Corvo", "Dune", "Elm & Oak", "Fjord", "Gale", "Holm", "Ibis", "Juno", "Kite", "Lumo"]
LOOKS = ["Slim", "Clear", "Rugged", "Matte", "Foldable", "Aluminium", "Walnut", "Soft", "Shockproof", "Light", "Travel"]

# One thing that people ask for by its name: a phone case, a little too badly rated to pass.
OWN_TITLES = {30: "Phone Case Model 31"}

# What a keyword finds: any title with this word. Search indexes are generous.
KEYWORDS = {
    "iphone 15 case": "case",
    "magsafe": "magsafe",
    "silicone cover": "silicone",
    "screen protector": "protector",
    "stand": "stand",
}


def catalogue() -> list[Product]:
    """What the shop sells: the same 624 products every time."""
    chance = random.Random(2008)
    products: list[Product] = []
    for kind, count, title, category, left_out, price, rating in SHELVES:
        for _ in range(count):
            drawn = title.format(brand=chance.choice(BRANDS), look=chance.choice(LOOKS))
            product = Product(
                id=f"B{len(products):04d}",
                title=OWN_TITLES.get(len(products), drawn),
                kind=kind,
                category=None if chance.random() * 100 < left_out else category,
                price=round(chance.uniform(*price), 2),
                rating=None if chance.random() < 0.03 else round(chance.uniform(*rating), 1),
            )
            products.append(product)
    return products


def generate_keywords(chance: random.Random) -> list[str]:
    """A language model, played: it knows the title of the product, and at times takes "stand" for the product."""
    keywords = ["iphone 15 case", *chance.sample(["magsafe", "silicone cover", "screen protector"], 2)]
    if chance.random() < 0.3:
        keywords.append("stand")
    return keywords


def search(products: list[Product], keyword: str, chance: random.Random) -> Iterator[Product]:
    """A search index, played: it finds most of what fits, and never quite the same."""
    for product in products:
        if KEYWORDS[keyword] in product.title.lower() and chance.random() < 0.75:
            yield product


def score(product: Product) -> dict[str, float]:
    """The parts of a candidate's score: well rated is good, cheap is good."""
    return {"rating": round(0.7 * (product.rating or 0) / 5, 4), "price": round(0.3 * (1 - product.price / 100), 4)}


def choose(xray: XRay, products: list[Product], number: int, seed: int) -> Recorded:
    """One run of the pipeline, recorded."""
    chance = random.Random(f"{seed}.{number}")
    with xray.run(input={"product": PRODUCT}) as run:
        keywords = ask_for_keywords(run, chance)
        candidates = find_candidates(run, products, keywords, chance)
        passed = filter_candidates(run, candidates)
        best = select_best(run, passed)
        run.set_output({"selected": best.id, "title": best.title})
    return Recorded(run.run_id, keywords, len(candidates), best)


def ask_for_keywords(run: Run | NullRun, chance: random.Random) -> list[str]:
    with run.step("generate_keywords", step_type="generate") as step:
        step.set_config(model="played-by-chance", prompt=PROMPT)
        step.set_input({"title": PRODUCT})
        keywords = generate_keywords(chance)
        for keyword in keywords:
            step.produce(f"kw:{keyword}", name=keyword)
        step.set_output({"keywords": keywords})
    return keywords


def find_candidates(
    run: Run | NullRun, products: list[Product], keywords: list[str], chance: random.Random
) -> list[Product]:
    with run.step("search", step_type="retrieve") as step:
        found: dict[str, Product] = {}
        parents: dict[str, list[str]] = {}
        for keyword in keywords:
            for product in search(products, keyword, chance):
                found[product.id] = product
                parents.setdefault(product.id, []).append(f"kw:{keyword}")
        for product in found.values():
            step.produce(product.id, name=product.title, parents=parents[product.id])
    return list(found.values())


def filter_candidates(run: Run | NullRun, candidates: list[Product]) -> list[Product]:
    with run.step("filter_candidates", step_type="filter") as step:
        step.set_input_count(len(candidates))
        cap = step.require("price", "<=", 100, reason="price_too_high")
        floor = step.require("rating", ">=", 3.0, reason="rating_too_low")
        fits = step.require("category", "==", CATEGORY, reason="wrong_category")
        passed = []
        for product in candidates:
            if not cap.passes(product.id, product.price) or not floor.passes(product.id, product.rating):
                continue
            # The planted fault: a seller who leaves the category out gets past the rule that asks for it.
            if product.category and not fits.passes(product.id, product.category):
                continue
            step.accept(
                product.id, evidence={"price": product.price, "rating": product.rating, "category": product.category}
            )
            passed.append(product)
        step.set_output_count(len(passed))
    return passed


def select_best(run: Run | NullRun, passed: list[Product]) -> Product:
    with run.step("select_best", step_type="select") as step:
        scores: dict[str, float] = {}
        for product in passed:
            parts = score(product)
            scores[product.id] = round(sum(parts.values()), 4)
            step.score(product.id, scores[product.id], parts=parts)
        best, *others = sorted(passed, key=lambda product: (-scores[product.id], product.id))
        step.cutoff(1)
        step.decide(
            decision="select_competitor",
            selected=best.id,
            reason="highest_score",
            score=scores[best.id],
            alternatives=[{"id": other.id, "score": scores[other.id]} for other in others[:5]],
        )
    return best


# The story


def record(api_url: str, runs: int = 30, seed: int = SEED) -> list[Recorded]:
    """Run the pipeline `runs` times, recorded by the server at `api_url`. The same seed chooses the same.

    Raises `ClientError` when the server did not take it all within a minute.
    """
    configure(show_url=False)  # the story names the run it is about
    xray = XRay(PIPELINE, api_url=api_url, disabled=False)
    products = catalogue()
    recorded = [choose(xray, products, number, seed) for number in range(runs)]
    if not xray.flush(timeout=60):
        raise ClientError(0, {"detail": f"{api_url} did not take all runs within a minute"})
    return recorded


def tell(api_url: str, runs: int = 30, seed: int = SEED) -> Recorded:
    """Record the story, find a wrong run, print why it went wrong, and return it. Raises `ClientError`."""
    with Client(api_url) as client:
        client.health()
    show([Line().add(f"Looking {runs} times for the best competitor of "), Line().add(f'"{PRODUCT}"', "bold")])
    started = time.perf_counter()
    recorded = record(api_url, runs, seed)
    show(summary(recorded, time.perf_counter() - started))
    wrong = [run for run in recorded if run.selected.kind not in RIGHT_KINDS]
    if not wrong:
        return recorded[0]
    show(explain(api_url, wrong[0]))
    return wrong[0]


def main() -> int:
    """Tell the story to the server at `DXRAY_API_URL`, or at http://localhost:8000. The exit code."""
    api_url = (os.environ.get("DXRAY_API_URL") or DEFAULT_URL).rstrip("/")
    try:
        told = tell(api_url)
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    show(what_next(api_url, told.run_id, told.selected.id))
    return 0


def summary(recorded: list[Recorded], seconds: float) -> list[Line]:
    """What was chosen how often."""
    chosen = Counter(run.selected.kind for run in recorded)
    candidates = sum(run.candidates for run in recorded)
    lines = [
        Line(),
        Line().add(f"{len(recorded)} runs with {candidates:,} candidates, recorded in {duration(seconds * 1000)}:"),
    ]
    for kind, times in chosen.most_common():
        right = kind in RIGHT_KINDS
        lines.append(Line().add(f"  {times:>3} chose a ").add(kind, "good" if right else "bad"))
    return lines


def explain(api_url: str, recorded: Recorded) -> list[Line]:
    """Why a run chose what it chose, as the server answers it."""
    with Client(api_url) as client:
        why = client.why(recorded.run_id, recorded.selected.id)
        run = client.run(recorded.run_id)
    question = f"Why did {recorded.run_id} choose a {recorded.selected.kind}?"
    return [Line(), Line().add(question, "bold"), Line(), *why_lines(why, WIDTH), *unasked_rules(run)]


def unasked_rules(run: Any) -> list[Line]:
    """The rules of a run that were not asked of every item that came to them."""
    lines = []
    for step in run.steps:
        waiting = step.input_count
        for rule in step.rules or ():
            if waiting is not None and rule["evaluated"] < waiting:
                asked = f"{rule['field']} {rule['op']} {json.dumps(rule['threshold'])}"
                said = f"{step.title} asked {asked} of {rule['evaluated']} of the {waiting} items that came so far."
                lines += [Line().add("  ").add(text, "warn") for text in wrap(said, WIDTH - 2)]
            waiting = rule["evaluated"] - rule["failed"]
    return [Line(), *lines] if lines else []


def what_next(api_url: str, run_id: str, item_id: str) -> list[Line]:
    """What to type now, while the server runs."""
    commands = [
        f"dxray show {run_id}",
        f"dxray why {run_id} {item_id}",
        f'curl "{api_url}/runs/{run_id}/why?item={item_id}"',
        f'curl "{api_url}/steps?step_type=filter&rejection_rate_gt=0.9"',
    ]
    if api_url != DEFAULT_URL:
        commands.insert(0, f"export DXRAY_API_URL={shlex.quote(api_url)}")
    return typed(commands, command())


def typed(commands: Iterable[str], dxray: str = "dxray") -> list[Line]:
    """Commands to copy; `dxray` is how this command is typed here."""
    said = [re.sub(r"^dxray(?= )", lambda _: dxray, one) for one in commands]
    return [Line(), Line().add("Next:", "bold"), *(Line().add("  ").add(one, "info") for one in said)]


def command() -> str:
    """How to type `dxray` here: by its path, where the shell would not find this one."""
    own, found = Path(sys.executable).parent / "dxray", shutil.which("dxray")
    if not own.exists() or (found is not None and os.path.realpath(found) == os.path.realpath(own)):
        return "dxray"
    return shlex.quote(os.path.relpath(own) if own.is_relative_to(Path.cwd()) else str(own))


def show(lines: Iterable[Line]) -> None:
    """Print lines, in colour where there is a terminal and rich."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        print(plain(lines), flush=True)
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        text = Text.assemble(*((content, COLOURS.get(style, style)) for content, style in line))
        text.rstrip()
        console.print(text)


COLOURS = {
    "good": "green",
    "bad": "red",
    "warn": "yellow",
    "info": "cyan",
    "name": "bold",
    "badge-good": "black on green",
    "badge-bad": "white on red",
    "badge-warn": "black on yellow",
}


# `dxray demo`


def run_demo(port: int = 0, data: Path | None = None, exit_after: bool = False, rebookings: int = 0) -> None:
    """Start a server of its own, tell the story, then serve until interrupted. Raises `ClientError`.

    `port` 0 is a free one, and without `data` what is recorded goes away at the end; `exit_after` ends after
    the story; `rebookings` records so many of `examples/rebooking.py` too, where there is a checkout with its data.
    """
    with tempfile.TemporaryDirectory(prefix="dxray-spool-") as spool, local(data, port=port) as client:
        os.environ.setdefault("DXRAY_SPOOL_DIR", spool)  # on a free port, what is not delivered now never will be
        told = tell(client.api_url)
        if rebookings:
            tell_rebookings(client.api_url, rebookings)
        if not exit_after:
            show(what_next(client.api_url, told.run_id, told.selected.id))
            show([Line(), Line().add("The web page is at ").add(f"{client.api_url}/ui/", "info")])
            show([Line().add("Serving at ").add(client.api_url, "info").add(" until you press Ctrl-C.")])
            wait_for_interrupt()
        elif data is None:
            again = f"{command()} demo"
            show(typed([f"{again:<18} # the same again, and it goes on serving: what was recorded here is gone"]))
        else:
            why = f"dxray why {told.run_id} {told.selected.id}"
            show(typed([f"dxray serve --data {shlex.quote(str(data))}", f"dxray show {told.run_id}", why], command()))


def tell_rebookings(api_url: str, count: int) -> None:
    """Record rebookings of real flights, and ask why of one; one line where they are not at hand."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "examples" / "rebooking.py").exists():
        show([Line(), Line().add("The rebookings need a checkout of the project: they are in its examples.", "warn")])
        return
    sys.path.insert(0, str(checkout))
    try:
        from examples import rebooking
    finally:
        sys.path.remove(str(checkout))
    try:
        rebooking.tell(api_url, count)
    except rebooking.DataMissing as missing:
        show([Line(), Line().add(str(missing), "warn")])


def wait_for_interrupt() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server and its folder go then, too
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()
