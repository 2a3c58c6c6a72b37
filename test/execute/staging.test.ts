import { chmod, mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { convert } from "../../src/convert.ts";
import { thisProcess } from "../../src/core/owner.ts";
import { checkOutput } from "../../src/execute/check-target.ts";
import { openStaging, writeWhole } from "../../src/execute/staging.ts";
import { failureOf } from "../support/failure-of.ts";
import { writeModel } from "../support/small-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

const OPTIONS = { force: false, sync: true };

/** A folder that cannot be written: permissions do not hold root back, but nobody makes folders in /sys. */
async function readOnlyFolder(): Promise<string> {
  if (process.getuid?.() === 0) return "/sys";
  const folder = await tempFolder();
  await chmod(folder, 0o500);
  onTestFinished(() => chmod(folder, 0o700));
  return folder;
}

describe("the target of a conversion", () => {
  it("is refused when it holds something, and left as it was", async () => {
    const target = join(await tempFolder(), "out");
    await mkdir(target);
    await writeFile(join(target, "notes.txt"), "mine");
    const error = await failureOf(() => openStaging(target, OPTIONS));
    expect(error).toMatchObject({ name: "OutputError", code: "E_OUTPUT_NOT_EMPTY" });
    expect(error.message).toContain("already holds 1 entries (notes.txt)");
    expect(error.hint).toContain("--force");
    expect(await readdir(target)).toEqual(["notes.txt"]);
  });

  it("is replaced as a whole with force, and only when the result is complete", async () => {
    const folder = await tempFolder();
    const target = join(folder, "out");
    await mkdir(target);
    await writeFile(join(target, "params_shard_99.bin"), "stale");
    const staging = await openStaging(target, { ...OPTIONS, force: true });
    await writeWhole(join(staging.folder, "tensor-cache.json"), "{}", true);
    expect(await readdir(target)).toEqual(["params_shard_99.bin"]);
    await staging.publish();
    expect(await readdir(target)).toEqual(["tensor-cache.json"]);
    expect(await readdir(folder)).toEqual(["out"]);
  });

  it("is refused when it is a file", async () => {
    const target = join(await tempFolder(), "out");
    await writeFile(target, "");
    expect(await failureOf(() => openStaging(target, OPTIONS))).toMatchObject({ code: "E_OUTPUT_IS_FILE" });
  });

  it("is refused where nothing can be written", async () => {
    const folder = await readOnlyFolder();
    const error = await failureOf(() => openStaging(join(folder, "out"), OPTIONS));
    expect(error).toMatchObject({ code: "E_OUTPUT_READ_ONLY" });
  });

  it("is refused below a file, where no folder can be made", async () => {
    const file = join(await tempFolder(), "file");
    await writeFile(file, "");
    const error = await failureOf(() => openStaging(join(file, "out"), OPTIONS));
    expect(error).toMatchObject({ code: "E_OUTPUT_READ_ONLY" });
  });

  it("is refused while another run writes it, and taken when that run has let go", async () => {
    const target = join(await tempFolder(), "out");
    const first = await openStaging(target, OPTIONS);
    const error = await failureOf(() => openStaging(target, OPTIONS));
    expect(error).toMatchObject({ name: "OutputError", code: "E_OUTPUT_BUSY" });
    await first.release();
    const second = await openStaging(target, OPTIONS);
    await second.discard();
  });

  it("is taken at once from a run that was killed, and waits for no other machine's clock", async () => {
    const target = join(await tempFolder(), "out");
    const dead = { ...thisProcess(), pid: 2 ** 22 + 1, token: "theirs" };
    await writeFile(`${target}.mlc-convert-partial.lock`, JSON.stringify(dead));
    const begun = performance.now();
    await (await openStaging(target, OPTIONS)).discard();
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  it("is not published by a run that lost it to another", async () => {
    const folder = await tempFolder();
    const target = join(folder, "out");
    const staging = await openStaging(target, OPTIONS);
    const other = { host: "elsewhere", pid: 1, token: "theirs" };
    await writeFile(`${target}.mlc-convert-partial.lock`, JSON.stringify(other));
    expect(await failureOf(() => staging.publish())).toMatchObject({ code: "E_OUTPUT_LOST" });
    await staging.release();
    expect((await readdir(folder)).sort()).toEqual([
      "out.mlc-convert-partial",
      "out.mlc-convert-partial.lock",
    ]);
  });

  it("is left without a trace by the check that comes before everything else (T13)", async () => {
    const folder = await tempFolder();
    await checkOutput(join(folder, "a/b/out"), { force: false, single: false });
    expect(await readdir(folder)).toEqual([]);
    const readOnly = await readOnlyFolder();
    const begun = performance.now();
    const hopeless = () => checkOutput(join(readOnly, "out"), { force: false, single: false });
    expect(await failureOf(hopeless)).toMatchObject({ code: "E_OUTPUT_READ_ONLY" });
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  it("comes back under its name when a run was killed between the two renames", async () => {
    const folder = await tempFolder();
    const target = join(folder, "out");
    await mkdir(target);
    await writeFile(join(target, "tensor-cache.json"), "old");
    await rename(target, `${target}.mlc-convert-replaced`);
    expect(await failureOf(() => openStaging(target, OPTIONS))).toMatchObject({ code: "E_OUTPUT_NOT_EMPTY" });
    expect(await readdir(target)).toEqual(["tensor-cache.json"]);
  });

  it("keeps nothing of an earlier attempt that the plan does not name", async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder);
    const output = join(folder, "out");
    await mkdir(`${output}.mlc-convert-partial`);
    await writeFile(join(`${output}.mlc-convert-partial`, "params_shard_77.bin"), "stale");
    await convert({ model, output, quantization: "q4f16_1", sync: false, weightsOnly: true });
    expect((await readdir(output)).sort()).toEqual([
      "ndarray-cache.json",
      "params_shard_0.bin",
      "tensor-cache.json",
    ]);
  });
});
