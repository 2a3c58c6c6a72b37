import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { verify } from "../src/verify.ts";
import { writeModel } from "./support/small-model.ts";
import { tempFolder } from "./support/temp-folder.ts";

/** Windows ends ordinary paths at 260 characters; one name ends at 255 bytes nearly everywhere. */
const LONG = Array.from({ length: 5 }, (_, at) => `${at}${"long".repeat(30)}`);

describe("paths", () => {
  it.each([
    ["of more than 600 characters", LONG],
    ["with spaces, accents, an emoji and an ideograph", ["a b", "é ü ñ", "😀", "模型"]],
    ["with what shells and patterns take for themselves", ["%TEMP% $HOME", "[x] (y) {z}", "#1 & 'two'"]],
    ["whose names end like files", ["model.safetensors", "out.bin", "config.json"]],
  ])("%s hold source and result", async (_, names) => {
    const plain = await tempFolder();
    const folder = join(plain, ...names);
    await mkdir(folder, { recursive: true });
    const model = await writeModel(folder);
    const request = { model, quantization: "q4f16_1", sync: false } as const;
    const output = join(folder, "result");
    await convert({ ...request, output });
    await convert({ ...request, output: join(plain, "short") });
    expect((await verify(output)).faults).toEqual([]);
    const index = (at: string) => readFile(join(at, "tensor-cache.json"), "utf8");
    expect(await index(output)).toBe(await index(join(plain, "short")));
  });

  it.runIf(process.platform === "win32")("may be written with either kind of slash", async () => {
    const folder = await tempFolder();
    const model = (await writeModel(folder)).replaceAll("\\", "/");
    const output = `${folder.replaceAll("\\", "/")}/out`;
    await convert({ model, quantization: "q4f16_1", output, sync: false });
    expect((await verify(output)).faults).toEqual([]);
  });
});
