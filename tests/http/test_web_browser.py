"""web/sync in Chromium, as the example page has it: SQLite in files of the browser, real locks, real streams through nginx over TLS and HTTP/2."""
import os
import signal

import pytest

from instance import unique, wait_until
from sync_client import Device
from web_device import Browser, example


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return example(str(tmp_path_factory.mktemp("pages")))


@pytest.fixture
def gate(own_instance, pages):
    return own_instance(pages=pages)


@pytest.fixture
def browser(gate):
    made = Browser(gate)
    yield made
    made.close()


@pytest.fixture
def token(gate):
    return gate.token(role="member", sub=unique("sub"), space=unique("space"))


def opened(device):
    tab = device.tab()
    wait_until(tab.saved, 60, f"the first sync of a tab, which shows {tab.status()} and {tab.news()}")
    return tab


def shows(tab, *titles):
    wait_until(lambda: tab.titles() == sorted(titles), 60, f"{tab.name} to show {sorted(titles)}, which shows {tab.titles()} and {tab.news()}")


def agrees(*tabs):
    for tab in tabs:
        wait_until(tab.saved, 60, f"{tab.name} to be up to date, which is {tab.status()}")
        wait_until(lambda: tab.verdict() == "the same as on the server", 60, "the same checksums as on the server")


def test_two_devices_of_two_tabs_show_the_same(gate, browser, token):
    one, other = browser.device(token), browser.device(token)
    first, second, third = opened(one), opened(one), opened(other)
    assert first.evaluate("[crossOriginIsolated, performance.getEntriesByType('navigation')[0].nextHopProtocol]") == [True, "h2"]
    assert [tab.leads() for tab in (first, second, third)] == [True, False, True], "expected one leader on each device"
    first.add("Kesh Jig", "D")
    shows(second, "Kesh Jig")
    shows(third, "Kesh Jig")  # through a hint: the next sync without one is five minutes away
    second.add("Banshee")
    third.rename("Kesh Jig", "The Kesh")
    for tab in (first, second, third):
        shows(tab, "Banshee", "The Kesh")
    third.remove("Banshee")
    shows(first, "The Kesh")
    shows(second, "The Kesh")
    agrees(first, second, third)
    phone = Device(gate, token)
    phone.sync()
    assert phone.sql("SELECT title, mode FROM tune") == [("The Kesh", "D")]
    first.call("reload")
    shows(first, "The Kesh")
    assert browser.call("complaints") == []


def test_offline_and_back(browser, token):
    one, other = browser.device(token), browser.device(token)
    first, second, third = opened(one), opened(one), opened(other)
    first.add("Kesh Jig")
    shows(third, "Kesh Jig")
    one.offline(True)
    first.add("Offline one")
    second.add("Offline two")
    second.rename("Kesh Jig", "The Kesh")
    third.add("Meanwhile")
    wait_until(lambda: (first.status()["state"], first.status()["pending"]) == ("offline", "3"), 60, "three changes that wait")
    wait_until(lambda: second.status()["state"] == "offline", 60, "the other tab to be told")
    shows(first, "Offline one", "Offline two", "The Kesh")
    shows(third, "Kesh Jig", "Meanwhile")
    one.offline(False)
    for tab in (first, second, third):
        shows(tab, "Meanwhile", "Offline one", "Offline two", "The Kesh")
    agrees(first, second, third)


@pytest.mark.parametrize("how", ["close", "crash"])
def test_the_next_tab_takes_over_from_one_that_is_gone(browser, token, how):
    device = browser.device(token)
    first, second, third = opened(device), opened(device), opened(browser.device(token))
    assert first.leads() and not second.leads()
    device.offline(True)
    first.add("Not sent yet")
    shows(second, "Not sent yet")
    getattr(first, how)()
    wait_until(second.leads, 60, "the second tab to lead")
    if how == "crash":
        first.close()
    device.offline(False)
    shows(third, "Not sent yet")
    second.add("After")
    shows(third, "After", "Not sent yet")
    third.add("From the other device")
    shows(second, "After", "From the other device", "Not sent yet")
    agrees(second, third)


def test_edits_while_it_syncs_are_kept(gate, browser, token):
    """Answers come late: whatever is edited before they are there must be neither lost nor overwritten by them."""
    one, other = browser.device(token), browser.device(token)
    first, second = opened(one), opened(one)
    first.add("Kesh Jig")
    third = opened(other)
    shows(third, "Kesh Jig")
    serving = gate.pids("serve")
    for pid in serving:
        os.kill(pid, signal.SIGSTOP)
    try:
        third.rename("Kesh Jig", "Kesh of the other")
        wait_until(lambda: third.status()["state"] == "syncing", 60, "the other device to be about to push")
        first.add("Lilting Fisherman")
        wait_until(lambda: first.status()["state"] == "syncing", 60, "a sync under way")
        first.rename("Lilting Fisherman", "Lilting Banshee")
        second.rename("Kesh Jig", "The Kesh, newer")
        second.add("Merrily")
    finally:
        for pid in serving:
            os.kill(pid, signal.SIGCONT)
    for tab in (first, second, third):
        shows(tab, "Lilting Banshee", "Merrily", "The Kesh, newer")
    agrees(first, second, third)


def test_what_the_server_does_not_take_is_told_in_every_tab(browser, token):
    device = browser.device(token)
    first, second = opened(device), opened(device)
    second.add("x" * 600)
    for tab in (first, second):
        wait_until(lambda: any(news.startswith("Not accepted") for news in tab.news()), 60, "the refusal")
        shows(tab)


def test_a_token_that_has_ended_asks_for_another(gate, browser, token):
    sub = unique("sub")
    tab = browser.device(gate.token(role="member", sub=sub, exp=1)).tab()
    wait_until(lambda: tab.evaluate("!document.getElementById('sign-in').hidden") and tab.status()["state"] == "unauthorized" and tab.news(), 60, "the form")
    tab.sign_in(gate.token(role="member", sub=sub))
    wait_until(tab.saved, 60, "a sync")


def test_pages_are_served_with_a_policy_of_their_own(gate):
    page = gate.session.get(gate.url + "/app/")
    assert page.status_code == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert (page.headers["Cross-Origin-Opener-Policy"], page.headers["Cross-Origin-Embedder-Policy"]) == ("same-origin", "require-corp")
    assert "'wasm-unsafe-eval'" in page.headers["Content-Security-Policy"] and page.headers["X-Content-Type-Options"] == "nosniff"
    assert gate.session.get(gate.url + "/app/sqlite/sqlite3.wasm").headers["Content-Type"] == "application/wasm"
    assert gate.session.get(gate.url + "/app", allow_redirects=False).headers["Location"] == "/app/"
    for path in ("/app/nothing", "/app/../tidegate.ini", "/app/%2e%2e/tidegate.ini", "/app/sync/"):
        assert gate.session.get(gate.url + path).status_code in (403, 404)
    assert gate.session.post(gate.url + "/app/").status_code == 405
