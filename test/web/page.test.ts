import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatProvenance } from "../../src/chat-config/provenance.ts";
import type { FileIntegrity } from "../../src/core/integrity.ts";
import { integrityOf } from "../../src/core/integrity.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { executablePath, launch, serveTo, stateOf, verdictOf } from "./browser.ts";
import { FIXTURE_TENSORS, flipByte, writeModel } from "./model-fixture.ts";

const required = (process.env.MLC_CONVERT_REQUIRE ?? "").split(",").includes("chromium");

if (executablePath === undefined) {
  process.stderr.write(
    "\nNOT RUN: the browser page was not tested, because no Chromium was found. Install chromium or set CHROMIUM_PATH.\n\n",
  );
}
it("has the Chromium that MLC_CONVERT_REQUIRE asks for", () => {
  expect(required && executablePath === undefined, "chromium is required, but none was found").toBe(false);
});

const LISTED = ["mlc-chat-config.json", "tokenizer.json", "tensor-cache.json"];
const SHARDS = ["params_shard_0.bin", "params_shard_1.bin"];

async function writeProvenance(folder: string): Promise<void> {
  const entries = LISTED.map(
    async (name): Promise<[string, FileIntegrity]> => [name, integrityOf(await readFile(join(folder, name)))],
  );
  const conversion = { modelType: "llama", quantization: "q4f16_1", backend: "avx2", options: new Map() };
  const text = formatProvenance({
    toolVersion: "0.1.0",
    source: { id: "org/model", commit: null, files: new Map() },
    conversion: { ...conversion, planDigest: null },
    files: new Map(await Promise.all(entries)),
  });
  await writeFile(join(folder, "mlc-convert.json"), text);
}

describe.skipIf(executablePath === undefined)("the page, in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  }, 60_000);
  afterAll(() => browser.close());

  const serving = (folder: string, look: (open: () => Promise<Page>) => Promise<void>): Promise<void> =>
    serveTo(browser, folder, look);

  it("calls a sound model sound, after checking every file", async () => {
    const folder = await writeModel(await tempFolder());
    await writeProvenance(folder);
    await serving(folder, async (open) => {
      const page = await open();
      expect(await stateOf(page)).toBe("sound");
      expect(await verdictOf(page)).toBe("Sound: all 6 files have the listed hash.");
      const checked = await page
        .locator('#files tr[data-state="sound"]')
        .evaluateAll((rows) => rows.map((row) => row.getAttribute("data-file")));
      expect(checked).toEqual(["mlc-convert.json", ...LISTED, ...SHARDS]);
      expect(await page.title()).toBe("org/model");
    });
  }, 60_000);

  it("draws every tensor with an area that goes by its size and a colour that goes by its type", async () => {
    await serving(await writeModel(await tempFolder()), async (open) => {
      const page = await open();
      const drawn = await page.locator("#map rect").evaluateAll((rects) =>
        rects.map((rect) => ({
          name: rect.getAttribute("data-tensor"),
          dtype: rect.getAttribute("data-dtype"),
          fill: rect.getAttribute("fill"),
          area: Number(rect.getAttribute("width")) * Number(rect.getAttribute("height")),
        })),
      );
      expect(drawn.map(({ name }) => name).sort()).toEqual(FIXTURE_TENSORS.map(({ name }) => name).sort());
      const total = FIXTURE_TENSORS.reduce((sum, { nbytes }) => sum + nbytes, 0);
      for (const { name, area } of drawn) {
        const nbytes = FIXTURE_TENSORS.find((tensor) => tensor.name === name)?.nbytes ?? 0;
        expect(area / (1000 * 560), String(name)).toBeCloseTo(nbytes / total, 9);
      }
      const colours = new Map(drawn.map(({ dtype, fill }) => [dtype, fill]));
      expect(new Set(colours.values()).size).toBe(2);
      for (const { dtype, fill } of drawn) expect(fill).toBe(colours.get(dtype));
      expect(await page.locator("#legend li").allTextContents()).toEqual([
        "uint32: 84,992 bytes",
        "float16: 9,728 bytes",
      ]);
    });
  }, 60_000);

  it("says that config and tokenizer were not checked without their hashes", async () => {
    await serving(await writeModel(await tempFolder()), async (open) => {
      const verdict = await verdictOf(await open());
      expect(verdict).toContain("There is no mlc-convert.json: config and tokenizer were not checked.");
    });
  }, 60_000);

  it("finds one changed bit in any file and names the file", async () => {
    const folder = await writeModel(await tempFolder());
    await writeProvenance(folder);
    await serving(folder, async (open) => {
      for (const name of ["mlc-convert.json", ...LISTED, ...SHARDS]) {
        await flipByte(join(folder, name));
        const page = await open();
        expect(await stateOf(page), name).toBe("broken");
        expect(await verdictOf(page)).toContain(name);
        await flipByte(join(folder, name));
      }
      expect(await stateOf(await open())).toBe("sound");
    });
  }, 120_000);
});
