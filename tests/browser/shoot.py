"""Take pictures of every page of a running demo site, at desktop and phone width, to look at.

    python tests/browser/shoot.py http://127.0.0.1:8000 OUT [--dark] [--only NAME]

Signs in as the demo's people; the site must have been filled by `manage.py demo`. Prints console errors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PASSWORD = "plumbline-demo"
WIDTHS = {"wide": (1440, 900), "phone": (390, 844)}
PAGES = [
    ("login", None, "/accounts/login/"),
    ("reset", None, "/accounts/password/reset/"),
    ("work", "ann", "/work/"),
    ("judging", "ann", "/work/demo/"),
    ("judging-ratings", "ann", "/work/demo-ratings/"),
    ("history", "ann", "/work/demo/history/"),
    ("me", "ann", "/me/"),
    ("tokens", "ann", "/me/tokens/"),
    ("projects", "rosa", "/p/"),
    ("new", "rosa", "/new/"),
    ("overview", "rosa", "/p/demo/"),
    ("items", "rosa", "/p/demo/items/"),
    ("item", "rosa", "/p/demo/items/1/"),
    ("import", "rosa", "/p/demo/import/"),
    ("design", "rosa", "/p/demo/design/"),
    ("designer", "rosa", "/p/demo/design/edit/?from=preset:rag"),
    ("guidelines", "rosa", "/p/demo/guidelines/"),
    ("people", "rosa", "/p/demo/people/"),
    ("agreement", "rosa", "/p/demo/quality/agreement/"),
    ("rankings", "rosa", "/p/demo/quality/rankings/"),
    ("bias", "rosa", "/p/demo/quality/bias/"),
    ("annotators", "rosa", "/p/demo/quality/annotators/"),
    ("selection", "rosa", "/p/demo/quality/selection/?of=responses&k=30&group=model&at_least=5&rule=borda"),
    ("agreement-ratings", "rosa", "/p/demo-ratings/quality/agreement/"),
    ("settings", "rosa", "/p/demo/settings/"),
    ("models", "rosa", "/p/demo/models/"),
    ("routing", "rosa", "/p/demo/routing/"),
    ("plan", "rosa", "/p/demo/routing/1/"),
    ("plan-new", "rosa", "/p/demo/routing/new/"),
    ("rewards", "rosa", "/p/demo/reward-models/"),
    ("reward", "rosa", "/p/demo/reward-models/rm_1/"),
    ("run", "rosa", "/p/demo/reward-models/runs/1/"),
    ("datasets", "rosa", "/p/demo/datasets/"),
    ("jobs", "rosa", "/jobs/"),
    ("audit", "rosa", "/system/audit/"),
    ("health", "admin", "/system/health/"),
    ("workers", "admin", "/system/workers/"),
    ("administration", "admin", "/admin/"),
    ("api-docs", "rosa", "/api/docs/"),
]


def sign_in(page, site: str, user: str) -> None:
    page.goto(f"{site}/accounts/login/")
    page.fill("input[name=login]", user)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site")
    parser.add_argument("out", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--full", action="store_true", help="The whole page, not the first screen.")
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    problems = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        for width_name, (width, height) in WIDTHS.items():
            contexts = {}
            for name, user, path in PAGES:
                if options.only and name not in options.only:
                    continue
                if user not in contexts:
                    contexts[user] = browser.new_context(
                        viewport={"width": width, "height": height},
                        color_scheme="dark" if options.dark else "light",
                    )
                    if user:
                        page = contexts[user].new_page()
                        sign_in(page, options.site, user)
                        page.close()
                page = contexts[user].new_page()
                said: list[str] = []
                page.on(
                    "console",
                    lambda message, said=said: message.type == "error" and said.append(message.text),
                )
                page.on("pageerror", lambda error, said=said: said.append(str(error)))
                answer = page.goto(options.site + path)
                page.wait_for_load_state("networkidle")
                gate = page.locator("form[action*=acknowledge] button")
                if gate.count():
                    gate.first.click()
                    page.wait_for_load_state("networkidle")
                page.screenshot(path=options.out / f"{name}-{width_name}.png", full_page=options.full)
                too_wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                status = answer.status if answer else 0
                if said or too_wide > 0 or status != 200:
                    problems += 1
                    print(f"{name} {width_name}: status {status}, {too_wide} px too wide, {said}")
                page.close()
        browser.close()
    print(f"{problems} pages with something to look at")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
