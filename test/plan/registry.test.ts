import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { architectureKeys, architectureOf } from "../../src/plan/registry.ts";

const source = fileURLToPath(new URL("../../src/", import.meta.url));

/** Where a vocabulary of its own has the same words: GGUF's models, conversation templates, WebLLM's libraries. */
const OWN_VOCABULARY = [
  "checkpoint/",
  "chat-config/",
  "plan/gguf/",
  "web/",
  "demo/demo-model.ts",
  "core/pre-tokenizers.ts",
] as const;

function filesElsewhere(): readonly string[] {
  return readdirSync(source, { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".ts") && !name.startsWith("plan/architectures/"))
    .filter((name) => !OWN_VOCABULARY.some((room) => name.startsWith(room)));
}

function namesIn(file: string): readonly string[] {
  const text = readFileSync(join(source, file), "utf8");
  return architectureKeys().filter((key) =>
    ['"', "'", "`"].some((quote) => text.includes(`${quote}${key}${quote}`)),
  );
}

describe("the registry", () => {
  it("is the list of files, and no other file names an architecture", () => {
    const elsewhere = filesElsewhere();
    expect(elsewhere.length).toBeGreaterThan(20);
    const named = elsewhere.flatMap((file) => namesIn(file).map((key) => `${file}: ${key}`));
    expect(named).toEqual([]);
  });

  it("loads each file under the key that it declares", async () => {
    for (const key of architectureKeys()) expect((await architectureOf(key)).key).toBe(key);
  });

  it("refuses a key that would leave the folder", async () => {
    await expect(architectureOf("../registry")).rejects.toMatchObject({ code: "E_UNKNOWN_ARCHITECTURE" });
  });
});
