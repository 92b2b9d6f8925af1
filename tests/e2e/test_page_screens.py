"""Every screen, light, dark and on a phone: its policy is on, nothing goes wrong in it, everyone can read it.

Pictures of them are left in `build/screenshots`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.browsing import AXE, PHONE, PICTURES, WIDE, Told, Watched, hard_to_read, right_run, too_wide, wrong_run

pytestmark = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (npm ci in ui/)")

MODES: dict[str, tuple[dict[str, int], str]] = {
    "light": (WIDE, "light"),
    "dark": (WIDE, "dark"),
    "phone": (PHONE, "light"),
}
STAND = 'output.title:"Gale+Soft+Laptop+Stand"'
# The other screens are made of the same parts: no colour of theirs is another.
IN_THE_DARK = {"runs", "steps", "pipeline", "run", "item", "item-lost", "compare", "ask", "whatif", "rules", "explain"}
OF_PIPELINE = "pipeline=competitor_selection"


def screens(story: Told) -> dict[str, str]:
    """The address of every screen, by the name of its picture."""
    wrong, right = wrong_run(story[1]).run_id, right_run(story[1]).run_id
    stand = wrong_run(story[1]).selected.id
    loser = story[0].items(name="Phone Case Model 31").runs[0].run_id
    return {
        "runs": "/ui/runs",
        "runs-none": "/ui/runs?q=nothing_like_this",
        "steps": "/ui/steps?q=step_type:filter+rejection_rate:>0.8",
        "step": f"/ui/steps?{OF_PIPELINE}&step=filter_candidates",
        "pipelines": "/ui/pipelines",
        "pipeline": f"/ui/pipelines?{OF_PIPELINE}",
        "run": f"/ui/runs/{wrong}",
        "item": f"/ui/runs/{wrong}/item?item={stand}",
        "item-lost": f"/ui/runs/{loser}/item?item=B0030",
        "items": "/ui/items?name=Laptop+Stand",
        "compare": f"/ui/compare?a={right}&b={wrong}",
        "compare-pick": f"/ui/compare?a={right}",
        "ask": "/ui/ask",
        "whatif": f"/ui/ask?question=whatif&{OF_PIPELINE}&reason=price_too_high&to=105",
        "whatif-off": f"/ui/ask?question=whatif&{OF_PIPELINE}&reason=wrong_category&to=off",
        "rules": f"/ui/ask?question=rules&{OF_PIPELINE}",
        "stability": f"/ui/ask?question=stability&{OF_PIPELINE}",
        "blame": f"/ui/ask?question=blame&{OF_PIPELINE}",
        "explain": f"/ui/ask?question=explain&a=-{STAND}&b={STAND}&outcome=accepted",
        "nowhere": "/ui/nowhere",
    }


@pytest.fixture(params=MODES)
def seen(request: pytest.FixtureRequest, story: Told, browser: Any) -> Iterator[tuple[str, Watched]]:
    size, scheme = MODES[request.param]
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    context.add_init_script(path=AXE)  # what the browser itself puts in, no policy forbids
    watched = Watched(context, story[0].api_url)
    yield request.param, watched
    context.close()


def test_every_screen(seen: tuple[str, Watched], story: Told) -> None:
    mode, watched = seen
    PICTURES.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name, path in screens(story).items():
        if mode == "dark" and name not in IN_THE_DARK:
            continue
        # A screen may ask for more once its first answer is there: a picture waits until it asks for nothing.
        watched.open(path).wait_for_load_state("networkidle")
        page = watched.settled()
        if mode != "phone" and (wrong := hard_to_read(page)):
            found[name] = wrong
        if (by := too_wide(page)) > 0:
            found[f"{name} is too wide"] = by
        page.screenshot(path=PICTURES / f"{name}-{mode}.png", full_page=True)
    assert found == {}
    assert watched.wrong == []
