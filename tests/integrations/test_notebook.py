"""A funnel in a notebook: the picture holds the figures of the answer, and recorded text stays text."""

from __future__ import annotations

from xml.etree import ElementTree

import dxray
from dxray import XRay
from dxray.wire.answers import Funnel

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&\x1b[31m"


def picture(answer: Funnel) -> ElementTree.Element:
    return ElementTree.fromstring(answer._repr_html_().partition("<pre")[0])


def test_the_bars_are_the_funnels_figures_to_scale() -> None:
    with dxray.local() as client:
        xray = XRay("shop", api_url=client.api_url)
        with xray.run() as run:
            with run.step("search", "retrieve") as step:
                step.produce_many([f"p{n}" for n in range(40)])
            with run.step(HOSTILE, "filter") as step:
                step.accept_many([f"p{n}" for n in range(10)])
                step.reject_many([f"p{n}" for n in range(10, 40)], "too_dear")
        assert xray.flush(10)
        answer = client.funnel(run.run_id)
    drawn = picture(answer)
    groups = drawn.findall(f"{SVG}g")
    assert len(groups) == len(answer.steps) == 2
    widths = [[float(one.attrib["width"]) for one in group.findall(f"{SVG}rect")] for group in groups]
    assert widths == [[400.0], [100.0, 300.0]]
    assert "".join(groups[1].itertext()).endswith("40 → 10")
    tags = {one.tag.removeprefix(SVG) for one in drawn.iter()}
    assert tags == {"svg", "g", "title", "text", "rect"}
    html = answer._repr_html_()
    assert "<script" not in html and "<img" not in html and "\x1b" not in html
    assert "alert(1)" in "".join(drawn.itertext())


def test_a_funnel_without_steps_has_no_picture_and_a_long_one_is_cut() -> None:
    assert "<svg" not in Funnel(run_id="run_1")._repr_html_()
    steps = [{"step_id": f"s{n}", "step_name": f"step {n}", "out": n, "in": n} for n in range(60)]
    drawn = picture(Funnel.read({"run_id": "run_1", "steps": steps}))
    assert len(drawn.findall(f"{SVG}g")) == 40
    assert "and 20 more steps" in "".join(drawn.itertext())
