import { writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { findToken } from "../../src/source/token.ts";
import { tempFolder } from "../support/temp-folder.ts";

const HUB = "https://huggingface.co";

test("the token is the argument, then HF_TOKEN, then the old variable, then the file", async () => {
  const home = await tempFolder();
  const file = path.join(home, "token");
  await writeFile(file, " hf_file\n");
  const around = (env: Record<string, string>) => ({
    env: { HF_HOME: home, ...env },
    home,
    platform: process.platform,
  });
  const both = { HF_TOKEN: "hf_env", HUGGING_FACE_HUB_TOKEN: "hf_old" };
  expect(await findToken(around(both), HUB, "hf_given")).toBe("hf_given");
  expect(await findToken(around(both), HUB, undefined)).toBe("hf_env");
  expect(await findToken(around({ HUGGING_FACE_HUB_TOKEN: "hf_old" }), HUB, undefined)).toBe("hf_old");
  expect(await findToken(around({}), HUB, undefined)).toBe("hf_file");
  expect(await findToken(around({ HF_TOKEN_PATH: path.join(home, "none") }), HUB, undefined)).toBeUndefined();
});

test("no stored token goes out when told so, or to another endpoint; an explicit one does", async () => {
  const home = await tempFolder();
  const around = { env: { HF_TOKEN: "hf_env" }, home, platform: process.platform };
  expect(await findToken(around, HUB, false)).toBeUndefined();
  expect(await findToken(around, "https://mirror.example", undefined)).toBeUndefined();
  expect(await findToken(around, "https://mirror.example", "hf_given")).toBe("hf_given");
  const shy = { ...around, env: { ...around.env, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" } };
  expect(await findToken(shy, HUB, undefined)).toBeUndefined();
  expect(await findToken(shy, HUB, "hf_given")).toBe("hf_given");
});

test("a token that no header can carry is refused without being shown", async () => {
  const around = { env: {}, home: await tempFolder(), platform: process.platform };
  const attempt = findToken(around, HUB, "hf_a\nInjected: b");
  await expect(attempt).rejects.toMatchObject({
    code: "E_TOKEN",
    message: expect.not.stringContaining("hf_a"),
  });
});
