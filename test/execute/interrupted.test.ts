import { type ChildProcess, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../../src/convert.ts";
import type { ConvertEvent } from "../../src/core/events.ts";
import { JOURNAL_NAME } from "../../src/execute/journal.ts";
import { runCli } from "../support/cli.ts";
import { failureOf } from "../support/failure-of.ts";
import { digests, SEVERAL_SHARDS, writeModel } from "../support/small-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

const REQUEST = { quantization: "q0f16", sync: false, weightsOnly: true } as const;
const KILLS = 20;

const staging = (output: string): string => `${output}.mlc-convert-partial`;

/** A conversion of some shards only: what a killed run leaves behind, made on purpose. */
async function partial(folder: string): Promise<{ model: string; output: string }> {
  const model = await writeModel(folder, SEVERAL_SHARDS);
  const output = join(folder, "out");
  const { shardsInAll } = await convert({ ...REQUEST, model, output, onlyShards: [0, 1] });
  expect(shardsInAll).toBeGreaterThan(2);
  return { model, output };
}

async function finish(model: string, output: string) {
  const notices: string[] = [];
  const onEvent = (event: ConvertEvent): void => {
    if (event.type === "notice") notices.push(event.message);
  };
  const { resumedShards } = await convert({ ...REQUEST, model, output }, { onEvent });
  return { resumedShards, notices };
}

/** Inode and time stamp by file name: they stay while nobody writes the file anew. */
async function identities(
  folder: string,
  names: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const entries = names.map(async (name): Promise<[string, string]> => {
    const { ino, mtimeNs } = await stat(join(folder, name), { bigint: true });
    return [name, `${ino} ${mtimeNs}`];
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The shards that the staging folder's journal calls finished, each with its identity. */
async function finishedShards(output: string): Promise<Readonly<Record<string, string>>> {
  const folder = staging(output);
  const lines = await readFile(join(folder, JOURNAL_NAME), "utf8").catch(() => "");
  const shards = [...lines.matchAll(/"shard":(\d+),.*\}\n/g)].map(([, index]) => `params_shard_${index}.bin`);
  return identities(folder, shards);
}

/** Kills a conversion within some milliseconds from its beginning, or from its first finished shard on. */
function killAtRandom(child: ChildProcess): void {
  const milestone = Math.random() < 0.5 ? '"phase":"convert"' : '"type":"shard"';
  let text = "";
  child.stdout?.on("data", (piece: string) => {
    text += piece;
    if (text.includes(milestone)) setTimeout(() => child.kill("SIGKILL"), Math.random() * 20);
  });
}

describe("a conversion that was stopped", () => {
  it("is taken up again after kill -9 at any moment: the same bytes, and no finished shard made again", {
    timeout: 240_000,
  }, async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder, SEVERAL_SHARDS);
    const reference = join(folder, "reference");
    // So little memory that one shard is made after the other, and there is something to keep early.
    const options = ["-q", "q0f16", "--weights-only", "--no-fsync", "--threads=1", "--max-memory=102M"];
    expect(await runCli([model, ...options, "-o", reference])).toMatchObject({ code: 0 });
    const expected = await digests(reference);
    const output = join(folder, "out");
    let finished: Readonly<Record<string, string>> = {};
    let resumed = 0;
    for (let killed = 0; killed < KILLS; ) {
      const result = await runCli([model, ...options, "--json", "-o", output], {
        onStart: killAtRandom,
      });
      const complete = result.signal !== "SIGKILL";
      const place = complete || existsSync(output) ? output : staging(output);
      expect(await identities(place, Object.keys(finished))).toEqual(finished);
      resumed += Object.keys(finished).length;
      if (complete) expect(result).toMatchObject({ code: 0 });
      else killed++;
      if (place === output) {
        expect(await digests(output)).toEqual(expected);
        await rm(output, { recursive: true });
      }
      finished = place === output ? {} : await finishedShards(output);
    }
    expect(resumed).toBeGreaterThan(0);
    expect(await runCli([model, ...options, "-o", output])).toMatchObject({ code: 0 });
    expect(await digests(output)).toEqual(expected);
    const left = (await readdir(folder)).sort();
    expect(left).toEqual(["model", "out", "reference"]);
  });

  it("keeps finished shards and makes the others", async () => {
    const folder = await tempFolder();
    const { model, output } = await partial(folder);
    const { resumedShards, notices } = await finish(model, output);
    expect(resumedShards).toBe(2);
    expect(notices.join()).toMatch(/continuing an earlier run: 2 of \d+ shards are kept/);
    const fresh = join(folder, "fresh");
    await convert({ ...REQUEST, model, output: fresh });
    expect(await digests(output)).toEqual(await digests(fresh));
    expect(existsSync(staging(output))).toBe(false);
  });

  it("makes a kept shard again whose bytes are not what the journal says", async () => {
    const folder = await tempFolder();
    const { model, output } = await partial(folder);
    const shard = await open(join(staging(output), "params_shard_0.bin"), "r+");
    await shard.write(new Uint8Array([1, 2, 3]), 0, 3, 1000);
    await shard.close();
    expect((await finish(model, output)).resumedShards).toBe(1);
    const fresh = join(folder, "fresh");
    await convert({ ...REQUEST, model, output: fresh });
    expect(await digests(output)).toEqual(await digests(fresh));
  });

  it("reads a journal whose last line a crash cut off", async () => {
    const { model, output } = await partial(await tempFolder());
    const journal = join(staging(output), JOURNAL_NAME);
    await truncate(journal, (await readFile(journal)).length - 5);
    expect((await finish(model, output)).resumedShards).toBe(1);
  });

  it("starts afresh, and says so, where the source has changed", async () => {
    const folder = await tempFolder();
    const { model, output } = await partial(folder);
    await writeModel(folder, SEVERAL_SHARDS);
    const { resumedShards, notices } = await finish(model, output);
    expect(resumedShards).toBe(0);
    expect(notices.join()).toMatch(/starting afresh: source, options or version changed/);
  });
});

const canMount = process.platform === "linux" && process.getuid?.() === 0 && mounts();

/** Containers may forbid mounting even to root. */
function mounts(): boolean {
  try {
    execFileSync("unshare", ["--mount", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
if (!canMount) process.stderr.write("\n*** a disk that fills up: NOT RUN, mounting needs root ***\n\n");

describe("a disk that fills up", () => {
  it.skipIf(!canMount)("stops the run with a code, and the run goes on when there is room", async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder, SEVERAL_SHARDS);
    const disk = join(folder, "disk");
    await mkdir(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=110m", "tmpfs", disk]);
    try {
      const output = join(disk, "out");
      const ballast = join(disk, "ballast");
      await writeFile(ballast, new Uint8Array(60 * 2 ** 20));
      const before = await failureOf(() => convert({ ...REQUEST, model, output }));
      expect(before).toMatchObject({ name: "OutputError", code: "E_DISK_FULL" });
      expect(before.message).toMatch(/the result needs \d+ MiB/);
      await rm(ballast);
      // The room that was there when the run began is taken while it goes on.
      const fill = (event: ConvertEvent): void => {
        if (event.type === "phase" && event.phase === "convert") {
          execFileSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=1M", "count=60"], { stdio: "ignore" });
        }
      };
      const during = await failureOf(() => convert({ ...REQUEST, model, output }, { onEvent: fill }));
      expect(during).toMatchObject({ name: "OutputError", code: "E_DISK_FULL" });
      expect(during.hint).toMatch(/run the same command again/);
      expect(existsSync(join(output, "tensor-cache.json"))).toBe(false);
      await rm(ballast);
      await finish(model, output);
      const fresh = join(folder, "fresh");
      await convert({ ...REQUEST, model, output: fresh });
      expect(await digests(output)).toEqual(await digests(fresh));
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});
