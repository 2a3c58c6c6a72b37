import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { serveDirectory } from "../../src/web/serve-directory.ts";

const CANDIDATES = [
  process.env.CHROMIUM_PATH ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** Where Chromium is on this machine, if it is. */
export const executablePath: string | undefined = CANDIDATES.find((path) => path !== "" && existsSync(path));

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
}

/** Serves a folder and hands `look` the page each time `open` has loaded it to its verdict. */
export async function serveTo(
  browser: Browser,
  folder: string,
  look: (open: () => Promise<Page>) => Promise<void>,
): Promise<void> {
  const served = await serveDirectory(folder);
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  try {
    await look(async () => {
      await page.goto(served.url);
      await page.waitForSelector('body:not([data-state="checking"])');
      expect(errors).toEqual([]);
      return page;
    });
  } finally {
    await page.close();
    await served.close();
  }
}

export const stateOf = (page: Page): Promise<string | null> =>
  page.locator("body").getAttribute("data-state");

export const verdictOf = (page: Page): Promise<string | null> => page.locator("#verdict").textContent();
