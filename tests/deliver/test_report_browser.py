"""The report in a real browser, cut off from the network: it draws, it is silent, a row opens its
target.
"""

import pytest
from browser import Browser
from run_builder import NASTY, make_run

from geomfaf.deliver.report.write import write_report


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    names = [NASTY, "a", "b", "c", "d", "e"]
    return write_report(make_run(tmp_path_factory.mktemp("page"), deposit_names=names)).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("chromium"))
    yield found
    found.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_draws_and_opens_a_target_without_a_network(browser, address, width):
    browser.open(address, width, 844)
    # 1. Nothing is wrong and nothing was asked for.
    assert browser.complaints() == []
    assert browser.requests() == [address]
    # 2. The page is as wide as the window: no sideways scrolling on a phone.
    assert browser.value("document.documentElement.scrollWidth") <= width
    # 3. The map draws its image over its ground, the targets and the deposits.
    assert browser.value("document.querySelector('.leaflet-image-layer').naturalWidth") == 80
    assert browser.value("document.querySelectorAll('.leaflet-overlay-pane path').length") == 2
    assert browser.value("document.querySelectorAll('.deposit').length") == 6
    assert "km" in browser.value("document.querySelector('.leaflet-control-scale').textContent")
    # 4. A row opens its target: its sheet shows, the map goes there and says why.
    shown = "getComputedStyle(document.getElementById('target-1')).display"
    assert browser.value(shown) == "none"
    browser.value("document.querySelector('tr[data-sheet=target-1]').click()")
    assert browser.value(shown) == "block"
    assert browser.value("location.hash") == "#target-1"
    note = "document.querySelector('.leaflet-popup-content').textContent"
    assert "Gold and copper are high beside a fault." in browser.value(note)
    assert browser.complaints() == []


def test_a_click_on_a_head_sorts_numbers_as_numbers(browser, address):
    browser.open(address, 1280, 844)
    script = """
      const table = document.createElement("table");
      table.innerHTML = "<thead><tr><th>n</th></tr></thead><tbody>"
        + ["9.5", "1,234", "", "80 %"].map(t => "<tr><td>" + t + "</td></tr>").join("") + "</tbody>";
      const head = table.tHead.rows[0].cells[0];
      sortBy(table, 0, head);
      const once = [...table.tBodies[0].rows].map(row => row.textContent);
      sortBy(table, 0, head);
      [once, [...table.tBodies[0].rows].map(row => row.textContent)]
    """
    once, twice = browser.value(script)
    assert once == ["9.5", "80 %", "1,234", ""]
    assert twice == once[::-1]


def test_a_page_prints_one_page_a_target(browser, address):
    browser.open(address, 1280, 844)
    pages = browser.pdf().count(b"/Type /Page\n")
    # Answers, map, targets, two sheets and the rest.
    assert pages >= 6


def test_names_run_no_script(browser, address):
    browser.open(address, 1280, 844)
    browser.value("window.alert = () => { window.harmed = true; }")
    browser.value("document.querySelectorAll('.deposit').forEach(mark => mark.click())")
    assert browser.value("document.querySelector('.leaflet-popup-content b').textContent")
    assert browser.value("window.harmed === undefined")
