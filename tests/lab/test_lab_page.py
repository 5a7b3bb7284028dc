"""The page in a browser, as people use it: presets, dragging, typing, the keyboard, two languages, its address, axe."""

from __future__ import annotations

import re

import pytest

import normexp

LANGUAGES = ["en", "zh"]
TRAPS = ["three", "ordinary", "overflow", "underflow", "confident", "double", "masked", "fill", "ties", "cold"]


def losses(page):
    """What the three cards say the loss is."""
    return page.locator(".verdict b").all_inner_texts()


def choose(page, selector):
    """Click, and wait until the page is drawn."""
    page.locator(selector).click()
    drawn(page)


def drawn(page):
    """Wait for two pictures: what was asked for in the first is drawn in the second."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def address(page, part):
    """Wait until the address has this part in it; it follows with a delay."""
    page.wait_for_function("(part) => location.hash.includes(part)", arg=part)


def test_it_loads_nothing_but_itself(page):
    assert [url.partition("#")[0] for url in page.asked] == [page.url.partition("#")[0]]
    assert page.said == []


def test_the_first_view_tells_the_story(page):
    assert losses(page) == ["NaN", "inf", "18"]
    assert page.locator("#story").inner_text() == (
        "One row of 5 logits has one loss: 18.0000462456. In float16, three codes make it NaN, inf and 18."
    )
    story = page.locator("#story").bounding_box()
    bars = page.locator("#lines").bounding_box()
    assert story["y"] + story["height"] < bars["y"] + bars["height"] < 900  # all in the first screen
    states = page.locator("#cards td").evaluate_all(
        "(cells) => [...new Set(cells.map((cell) => cell.className))].sort()"
    )
    assert states == ["inf", "nan", "normal", "subnormal", "zero"]
    # A state is a letter as well as a colour, and words for who does not see.
    for kind in states:
        cell = page.locator(f"#cards td.{kind}").first
        assert cell.locator(".mark").count() == cell.locator(".hidden").count() == (kind != "normal")


def test_exact_values_are_no_rounded_ones(page):
    """Where the head says exact, float16 does not make 0 of 1.5e-8, nor a loss that is below its own floor."""
    assert page.locator("#lines .line").nth(3).locator(".num").all_inner_texts() == ["1.5229e-8", "-1"]
    choose(page, "[data-trap=cold]")
    assert page.locator("#lines .line").nth(1).locator(".num").all_inner_texts() == ["7.703e-4321"] * 2
    assert (
        "with a softmax before it 0.55144; it cannot go below ln(1 + (K − 1)/e) = 0.55144"
        in page.locator("#times").inner_text()
    )
    assert "where e^((x − max)/T) is 0" in page.locator("#zones").inner_text()


def test_presets_change_the_numbers(page):
    seen = {}
    for trap in TRAPS:
        choose(page, f"[data-trap={trap}]")
        assert page.locator("[data-trap][aria-pressed=true]").get_attribute("data-trap") == trap
        seen[trap] = (
            page.locator("#cards").inner_text(),
            page.locator("#snippet").inner_text(),
            page.locator("#about").inner_text(),
        )
        for link in page.locator("#safe a, #finds a").all():
            assert page.locator(link.get_attribute("href")).count() == 1
    assert len({texts[0] for texts in seen.values()}) == len({texts[2] for texts in seen.values()}) == len(TRAPS)
    assert "# 18" in seen["three"][1]
    assert "normexp.softmax(x, where=mask))  # 0 0 0 0" in seen["fill"][1]
    assert "nxt.cross_entropy(logits, target)" in seen["double"][1]


def test_formats_change_the_numbers(page):
    seen = {}
    for name in ("float16", "bfloat16", "float32", "float64"):
        choose(page, f"[data-format={name}]")
        seen[name] = tuple(losses(page))
    assert seen == {
        "float16": ("NaN", "inf", "18"),
        "bfloat16": ("18", "18", "18"),
        "float32": ("18.000046", "18.000046", "18.000046"),
        "float64": (repr(float(normexp.cross_entropy([30.0, 20, 16, 12, 0], 3))),) * 3,
    }


def test_a_dragged_bar_changes_the_loss(page):
    before = losses(page)
    slide = page.locator("#lines [role=slider]").nth(3)
    box = slide.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.65, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
    drawn(page)
    halfway = losses(page)
    page.mouse.move(box["x"] + box["width"] * 0.95, middle, steps=4)
    page.mouse.up()
    drawn(page)
    assert len({before[2], halfway[2], losses(page)[2]}) == 3
    assert float(slide.get_attribute("aria-valuenow")) == pytest.approx(45, abs=1)
    assert page.locator("#logit3").input_value() == slide.get_attribute("aria-valuetext")
    page.mouse.move(box["x"], middle)  # no longer held
    drawn(page)
    assert float(slide.get_attribute("aria-valuenow")) > 30
    address(page, "x=30,20,16,4")


def test_sliders_have_keys(page):
    slide = page.locator("#lines [role=slider]").nth(3)
    slide.focus()
    for key, value in (
        ("ArrowRight", 12.5),
        ("ArrowUp", 13),
        ("ArrowLeft", 12.5),
        ("PageDown", 7.5),
        ("End", 50),
        ("Home", -50),
        ("ArrowDown", -50),
    ):
        page.keyboard.press(key)
        drawn(page)
        assert float(slide.get_attribute("aria-valuenow")) == value, key
        assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    assert losses(page)[2] == "80"
    heat = page.locator("#heat [role=slider]")
    heat.focus()
    page.keyboard.press("PageUp")
    drawn(page)
    assert heat.get_attribute("aria-valuenow") == "10"
    assert page.locator("#T").input_value() == "10"
    assert float(losses(page)[2]) == pytest.approx(8.6, abs=0.1)


def test_everything_is_within_reach_of_the_keyboard(page):
    page.locator("[data-lang=en]").focus()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(({ id, dataset: d, role }) => id || d.trap || d.format || d.lang || role)(document.activeElement)"
            )
        )
    assert reached >= {
        "zh",
        *TRAPS,
        "float16",
        "T",
        "fewer",
        "more",
        "target3",
        "logit0",
        "bits",
        "exact",
        "copy",
        "step",
    }
    page.locator("[data-format=float16]").focus()
    page.keyboard.press("ArrowRight")
    drawn(page)
    assert (
        page.locator("[aria-checked=true]").inner_text()
        == page.evaluate("document.activeElement.textContent")
        == "bfloat16"
    )
    page.locator("#target3").focus()
    page.keyboard.press("ArrowDown")
    drawn(page)
    assert losses(page)[2] == "30"


def test_typing(page):
    page.locator("#logit3").fill("-inf")
    drawn(page)
    assert losses(page)[2] == "inf"
    assert page.locator("#card-fused").get_attribute("data-cause") == "target_masked"
    page.locator("#logit3").fill("1e5")
    drawn(page)
    assert "in float16: inf" in page.locator("#lines").inner_text()
    assert page.locator("#card-naive").get_attribute("data-cause") == "x_beyond"
    page.locator("#logit3").fill("7.5")
    drawn(page)
    kept = losses(page)
    assert kept[2] == "22.5"
    for nonsense in ("", "seven", "1,5", "0x10", "1e"):
        page.locator("#logit3").fill(nonsense)
        drawn(page)
        assert page.locator("#logit3").get_attribute("aria-invalid") == "true"
        assert page.locator("#stored3").inner_text() == "Type a number, inf or nan."
        assert losses(page) == kept
    page.locator("#logit3").blur()
    assert page.locator("#logit3").input_value() == "7.5"
    assert page.locator("#logit3").get_attribute("aria-invalid") is None
    for refused in ("0", "-1", "inf", "nan", "1e9"):
        page.locator("#T").fill(refused)
        drawn(page)
        assert page.locator("#T").get_attribute("aria-invalid") == "true"
        assert page.locator("#T-note").inner_text() == "From 1e-6 to 1e4."
        assert losses(page) == kept
    page.locator("#T").fill("2")
    drawn(page)
    assert losses(page)[2] == "11.26"


def test_classes_come_and_go(page):
    for _ in range(5):
        choose(page, "#more")
    assert page.locator("#lines .line").count() == 10
    assert page.locator("#more").is_disabled()
    page.locator("#target9").check()
    for _ in range(9):
        choose(page, "#fewer")
    assert page.locator("#fewer").is_disabled()
    assert losses(page)[2] == "0"
    assert page.locator("#target0").is_checked()


def test_bits_and_exact_values_on_demand(page):
    assert page.locator(".hex, .truth").count() == 0
    choose(page, "#bits")
    assert page.locator("#card-shifted td .hex").first.inner_text() == "0x0000"
    assert "0x7e00" in page.locator("#card-naive .hex").all_inner_texts()
    choose(page, "#exact")
    assert "= 18.0000462456" in page.locator("#card-fused .truth").all_inner_texts()
    address(page, "bits=1&exact=1")


def test_the_address_restores_everything(visit_elsewhere, page):
    choose(page, "[data-trap=confident]")
    choose(page, "[data-lang=zh]")
    page.locator("#logit1").fill("3.25")
    page.locator("#T").fill("0.5")
    page.locator("#target1").check()
    choose(page, "[data-format=bfloat16]")
    choose(page, "#bits")
    address(page, "trap=confident&x=20,3.25&t=1&T=0.5&format=bfloat16&lang=zh&bits=1")
    again = visit_elsewhere(page.evaluate("location.hash"))
    for part in ("#cards", "#snippet", "#story", "#about"):
        assert again.locator(part).inner_text() == page.locator(part).inner_text()
    assert again.locator("#target1").is_checked()
    # Edited in place, as by a link clicked within the same tab.
    again.evaluate("location.hash = '#trap=underflow&lang=en'")
    again.wait_for_function("() => document.documentElement.lang === 'en'")
    assert losses(again) == ["inf", "inf", "120"]


NONSENSE = [
    "#",
    "#trap=constructor",
    "#x=1,b,2&t=99&T=-1&format=float8&lang=fr",
    "#x=" + "1," * 40,
    "#t=1.5",
    "#%E0%A4%A",
    "#x=__proto__&T=NaN",
]


def test_an_address_that_makes_no_sense_is_no_harm(page, visit):
    """Gone to within the page, from another row; and one to begin with."""
    for hash in NONSENSE:
        page.evaluate("(hash) => { location.hash = hash; }", "#trap=underflow&lang=en")
        page.wait_for_selector("[data-trap=underflow][aria-pressed=true]")
        assert losses(page)[2] == "120"
        page.evaluate("(hash) => { location.hash = hash; }", hash + "&lang=en")
        page.wait_for_selector("[data-trap=three][aria-pressed=true]")
        assert losses(page)[0] == "NaN"
        assert page.said == []
    visit(NONSENSE[2] + "&lang=en")
    assert losses(page)[0] == "NaN"
    assert page.said == []


def test_links_within_the_page_keep_the_state(page):
    address(page, "trap=three")
    page.locator("#finds a").click()
    assert page.evaluate("document.activeElement.id") == "NX302"
    assert "trap=three" in page.url


def test_the_copied_snippet_is_the_one_on_screen(visit_elsewhere):
    page = visit_elsewhere(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#copy").click()
    page.wait_for_function("() => document.getElementById('copied').textContent !== ''")
    if page.locator("#copied").inner_text() == "Copied.":
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#snippet").inner_text()
    else:
        assert page.evaluate("getSelection().toString()").strip() == page.locator("#snippet").inner_text().strip()


def test_the_curves_follow_the_step(page):
    last = page.locator("#at").inner_text()
    page.locator("#step").focus()
    page.keyboard.press("Home")
    assert page.locator("#at").inner_text().startswith("Step 0: logits into the loss 2.303")
    page.keyboard.press("End")
    assert page.locator("#at").inner_text() == last
    assert page.locator("#curves polyline").count() == 2


def test_words_are_complete(page):
    words = page.evaluate("lab.WORDS")
    assert set(words) == set(LANGUAGES)
    assert set(words["en"]) == set(words["zh"])
    for key, text in words["en"].items():
        other = words["zh"][key]
        assert text.strip()
        assert other.strip()
        assert sorted(set(re.findall(r"\{\w+\}", text))) == sorted(set(re.findall(r"\{\w+\}", other))), key
        assert re.search(r"[\u3000-\u9fff]", other) or text == other, key
    same = {key for key in words["en"] if words["en"][key] == words["zh"][key]}
    assert same <= {
        "naive_code",
        "shifted_code",
        "fused_code",
        "logit",
        "S",
        "logS",
        "ulp",
        "direct",
        "p_once",
        "p_twice",
        "name_cold",
    }
    # Each sentence of a diagnosis, each preset, rule and function has its words; the rest is named in the page.
    source = page.evaluate("document.documentElement.outerHTML")
    made = {f"{kind}_{trap}" for kind in ("name", "about") for trap in TRAPS}
    for key in set(words["en"]) - made:
        stem = key.removeprefix("fn_").removeprefix("said_").removesuffix("_code")
        assert source.count(stem) > 2, f"{key} is used nowhere"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_spoken_everywhere(page, language):
    choose(page, f"[data-lang={language}]")
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-Hans"}[language]
    read = """() => [...document.querySelectorAll("body *:not(script):not(style)")].flatMap((node) => [
        node.closest("[lang]:not(html), code, pre, noscript") ? "" :
            [...node.childNodes].filter((c) => c.nodeType === 3).map((c) => c.data).join(""),
        node.getAttribute("aria-label") ?? ""])"""
    for trap in TRAPS:
        choose(page, f"[data-trap={trap}]")
        said = "\n".join(page.evaluate(read))
        assert "undefined" not in said
        assert "{" not in said
        if language == "en":
            assert not re.search(r"[\u4e00-\u9fff]", said)
        else:
            assert not re.search(r"(?:\b[a-z]{2,} ){2}[a-z]{2,}", said), re.search(
                r"(?:\b[a-z]{2,} ){2}[a-z]{2,}", said
            )
    address(page, f"lang={language}")


def test_the_language_follows_the_browser(visit_elsewhere):
    page = visit_elsewhere("", locale="zh-CN")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_fits_the_screen(visit, language):
    page = visit(f"#lang={language}")
    for width in (320, 390, 768, 1300):
        page.set_viewport_size({"width": width, "height": 800})
        for trap, name in (("three", "float16"), ("double", "float64"), ("fill", "float64"), ("fill", "float16")):
            page.evaluate("(hash) => { location.hash = hash; }", f"#trap={trap}&format={name}&lang={language}")
            page.wait_for_selector(f"[data-trap={trap}][aria-pressed=true]")
            drawn(page)
            assert page.locator("#formats [aria-checked=true]").inner_text() == name
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, trap, name)


def test_dark_and_still(visit):
    page = visit(color_scheme="dark", reduced_motion="reduce")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", paper))) < 60
    every = "[...document.querySelectorAll('*')]"
    moving = f"{every}.filter((node) => getComputedStyle(node).transitionDuration !== '0s').length"
    assert page.evaluate(moving) == 0
    page = visit(color_scheme="light", reduced_motion="no-preference")
    assert min(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")))) > 240
    assert page.evaluate(moving) > 0  # the test above sees what moves


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("width", "scheme", "traps"),
    [(1300, "light", ["three", "fill"]), (1300, "dark", ["three", "fill"]), (390, "light", ["double"])],
)
def test_axe_finds_nothing_serious(visit, scheme, language, width, traps):
    from axe_playwright_python.sync_playwright import Axe

    # Without the transitions, whose colours in between would be measured.
    page = visit(
        f"#lang={language}&bits=1&exact=1",
        color_scheme=scheme,
        reduced_motion="reduce",
        width=width,
    )
    for trap in traps:
        choose(page, f"[data-trap={trap}]")
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response
        assert len(found["passes"]) > 20
        # Not only serious and critical ones: none at all.
        assert [
            (one["id"], one["impact"], [node["html"] for node in one["nodes"]][:3]) for one in found["violations"]
        ] == []


def test_axe_would_find_something(page):
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(
        "document.getElementById('T').removeAttribute('aria-label'); document.querySelector('label[for=T]').remove()"
    )
    assert "label" in {one["id"] for one in Axe().run(page).response["violations"]}
