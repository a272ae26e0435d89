from xml.etree import ElementTree

from benchmarks.svg import draw, panels

SVG = "{http://www.w3.org/2000/svg}"
SAMPLES = {
    "cqrsbus, uvloop": {"events/s": [100.0, 300.0, 200.0]},
    "nats-py, bytes": {"events/s": [400.0, 400.0, 400.0]},
    "others": {"events/s": [1.0]},
}


def test_a_bar_is_as_long_as_its_median() -> None:
    picture = ElementTree.fromstring(draw(panels(SAMPLES), "caption <here>"))
    widths = {bar.get("class"): float(bar.get("width", 0)) for bar in picture.iter(f"{SVG}rect")}
    assert widths["ours"] * 2 == widths["theirs"] > 0
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert texts[-1] == "caption <here>"
    assert {"200", "400", "nats-py, bytes"} <= set(texts)
    assert "others" not in texts


def test_a_figure_that_nobody_has_is_no_panel() -> None:
    assert [panel.title.split(",")[0] for panel in panels(SAMPLES)] == ["Events a second"]
    assert panels({}) == []
