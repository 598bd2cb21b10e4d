"""The console in a browser: real clicks and keys, screenshots, and an accessibility check by axe-core.

    python3 tests/browser/console.py BASE KEY FOLDER

Started by tests/tests/console_browser.rs, against a server with a list of sixty customers at risk; prints
what it did, and ends with 1 at the first thing that is not as it should be. Screenshots go to FOLDER.
"""

import shutil
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Findings of these weights fail the test; lighter ones are printed.
SERIOUS = ("serious", "critical")


class Desk:
    """One person at one browser."""

    def __init__(self, context, base, folder, name):
        self.page, self.base, self.folder, self.name = context.new_page(), base, Path(folder), name
        self.foreign, self.complaints = [], []
        self.page.on("request", lambda request: self.foreign.append(request.url) if not request.url.startswith((base, "data:")) else None)
        self.page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)

    def sign_in(self, key):
        self.page.goto(f"{self.base}/console")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Customers at risk", level=1)).to_be_visible()

    def look(self, what):
        """A screenshot, and axe's findings of weight."""
        self.page.screenshot(path=self.folder / f"{self.name}-{what}.png", full_page=not what.startswith("at-risk"))
        found = Axe().run(self.page).response["violations"]
        for one in found:
            print(f"  axe {self.name} {what}: {one['impact']} {one['id']}: {one['nodes'][0]['html'][:160]}")
        assert not [one for one in found if one["impact"] in SERIOUS], f"{self.name} {what}"
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.name} {what}: the page is {wide} px wider than the screen"

    def customers(self):
        return self.page.locator("section[aria-labelledby=list] tbody tr")

    def close(self):
        assert not self.foreign, self.foreign
        assert not self.complaints, self.complaints
        self.page.close()


def clicks(desk):
    page = desk.page
    assert desk.customers().count() == 50
    page.get_by_label("Churn at least, %").fill("25")
    page.get_by_role("button", name="Filter").click()
    n_filtered = desk.customers().count()
    assert "min_risk=25" in page.url and 0 < n_filtered < 50, (page.url, n_filtered)
    page.get_by_role("link", name="Value at risk").click()
    assert "sort=value_at_risk" in page.url and "min_risk=25" in page.url, page.url
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_role("link", name="Next page").click()
    assert "cursor=" in page.url
    page.get_by_role("link", name="First page").click()
    # The slider asks for its part of the page; nothing else is loaded.
    page.get_by_label("How far down the list").fill("7")
    expect(page.locator("#cutoff-told dd").first).to_have_text("7 of 60")
    row = desk.customers().first.get_by_role("link")
    name = row.inner_text().split("\n")[0]
    row.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Customer {name}")
    page.get_by_label("Item").select_option("MUG")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#price-told")).to_contain_text("Would be quoted")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Customers at risk")
    print("  clicks: filter, sort, pages, slider, customer, price, back")


def keys_only(desk):
    """Skip link, the first customer, and the slider, without a pointer."""
    page = desk.page
    page.goto(f"{desk.base}/console/at-risk")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_attribute("id", "cutoff")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#cutoff-told dd").first).to_have_text("7 of 60")
    expect(page.locator(":focus")).to_have_attribute("id", "cutoff")
    for _ in range(40):
        page.keyboard.press("Tab")
        if "/console/customers/" in (page.locator(":focus").get_attribute("href") or ""):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Customer C")
    print("  keys: skip link, slider, customer")


def signs_out(desk):
    desk.page.get_by_role("button", name="Sign out").click()
    expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()
    desk.page.goto(f"{desk.base}/console/models")
    expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()


def main(base, key, folder):
    browser_path = next(filter(None, map(shutil.which, BROWSERS)))
    looks = [("light", "light", 1280, 900), ("dark", "dark", 1280, 900), ("phone", "light", 375, 812)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, scheme, width, height in looks:
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
            desk = Desk(context, base, folder, name)
            desk.page.goto(f"{base}/console/sign-in")
            desk.look("sign-in")
            desk.sign_in(key)
            desk.look("at-risk")
            desk.page.locator("#list").evaluate("heading => heading.scrollIntoView()")
            desk.look("at-risk-list")
            if name == "light":
                clicks(desk)
                keys_only(desk)
            desk.page.goto(f"{base}/console/customers/C%20001")
            desk.look("customer")
            for place in ("customers", "actions", "metrics", "prices", "prices/MUG", "models"):
                desk.page.goto(f"{base}/console/{place}")
                desk.look(place.replace("/", "-"))
            signs_out(desk)
            desk.close()
            context.close()
        # Without a script everything is a form.
        context = browser.new_context(java_script_enabled=False)
        desk = Desk(context, base, folder, "plain")
        desk.sign_in(key)
        desk.page.get_by_label("How far down the list").focus()
        desk.page.keyboard.press("ArrowRight")
        desk.page.get_by_role("button", name="Show").click()
        expect(desk.page.locator("#cutoff-told dd").first).to_have_text("7 of 60")
        desk.close()
        browser.close()
    print("  as it should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
