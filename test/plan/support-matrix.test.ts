import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { GGUF_FAMILIES } from "../../src/plan/gguf/model.ts";
import { modelsPage, supportMatrix } from "../../src/plan/support-matrix.ts";
import { registry } from "./reference-tables.ts";

/** Registered upstream, but no conversion of that kind can succeed there (architectures.md §1, notes a to c). */
const UNUSABLE = new Set(["mixtral awq", "nemotron awq", "llava awq", "mistral awq"]);

describe("the support matrix", () => {
  it("has upstream's source formats, but for those that cannot work", async () => {
    for (const row of await supportMatrix()) {
      const wanted =
        registry[row.key]?.sources.filter((format) => !UNUSABLE.has(`${row.key} ${format}`)) ?? [];
      const byRule = row.beyondUpstream.length > 0;
      const found = row.sourceFormats.filter((format) => format !== "gguf" && !(format === "awq" && byRule));
      expect([...found].sort(), row.key).toEqual([...wanted].sort());
    }
  });

  it("has GGUF as a source of what can be written as GGUF too", async () => {
    const rows = await supportMatrix();
    const readable = rows.filter(({ sourceFormats }) => sourceFormats.includes("gguf"));
    expect(readable.map(({ key }) => key)).toEqual([...GGUF_FAMILIES].sort());
  });

  it("has a row for every registered key", async () => {
    expect((await supportMatrix()).map(({ key }) => key)).toEqual(Object.keys(registry).sort());
  });

  it("is what docs/models.md says", async () => {
    const page = readFileSync(new URL("../../docs/models.md", import.meta.url), "utf8");
    expect(modelsPage(await supportMatrix())).toBe(page);
  });
});
