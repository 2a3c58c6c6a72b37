import { expect, test } from "vitest";
import { UsageError } from "../../src/core/errors.ts";
import { type NameOptions, parseModelName } from "../../src/source/model-name.ts";

const options: NameOptions = {
  endpoint: "https://hub.example/mirror",
  exists: (path) => path === "org/here" || path === "./model",
  presets: new Set(["llama2_7b"]),
};
const hub = (repo: string, revision = "main") => ({ kind: "hub", repo, revision });

test.each([
  ["HF://org/repo", hub("org/repo")],
  ["hf://org/repo", hub("org/repo")],
  ["HF://org/repo:v1.0", hub("org/repo", "v1.0")],
  ["HF://org/repo@refs/pr/3", hub("org/repo", "refs/pr/3")],
  ["org/repo", hub("org/repo")],
  ["org/repo@v2", hub("org/repo", "v2")],
  ["org/a.b_c-d", hub("org/a.b_c-d")],
  ["https://huggingface.co/org/repo", hub("org/repo")],
  ["https://huggingface.co/org/repo/", hub("org/repo")],
  ["https://huggingface.co/org/repo/tree/dev?x=1#y", hub("org/repo", "dev")],
  ["https://huggingface.co/org/repo/tree/refs%2Fpr%2F1", hub("org/repo", "refs/pr/1")],
  ["https://huggingface.co/org/repo/tree/refs/pr/1", hub("org/repo", "refs/pr/1")],
  ["https://huggingface.co/org/repo/blob/main/config.json", hub("org/repo")],
  ["https://huggingface.co/org/repo/resolve/main/model.safetensors", hub("org/repo")],
  ["https://hub.example/mirror/org/repo", hub("org/repo")],
  ["org/here", { kind: "local", path: "org/here", exists: true }],
  ["./model", { kind: "local", path: "./model", exists: true }],
  ["./gone", { kind: "local", path: "./gone", exists: false }],
  ["/gone/too", { kind: "local", path: "/gone/too", exists: false }],
  ["~/gone", { kind: "local", path: "~/gone", exists: false }],
  ["C:\\models\\x", { kind: "local", path: "C:\\models\\x", exists: false }],
  ["a\\b", { kind: "local", path: "a\\b", exists: false }],
  ["llama2_7b", { kind: "preset", name: "llama2_7b" }],
])("%s is understood", (text, expected) => {
  expect(parseModelName(text, options)).toEqual(expected);
});

test.each([
  ["", "E_MODEL_NAME"],
  ["gpt2", "E_MODEL_NAME"],
  ["a/b/c", "E_MODEL_NAME"],
  ["HF://org", "E_MODEL_NAME"],
  ["HF://org/repo/", "E_MODEL_NAME"],
  ["HF://org/repo@", "E_MODEL_NAME"],
  ["HF://org/re--po", "E_MODEL_NAME"],
  ["HF://org/repo.git", "E_MODEL_NAME"],
  ["HF://org/..", "E_MODEL_NAME"],
  ["org/-repo", "E_MODEL_NAME"],
  [`org/${"x".repeat(97)}`, "E_MODEL_NAME"],
  ["https://huggingface.co/org", "E_MODEL_NAME"],
  ["https://huggingface.co/datasets/org/repo", "E_MODEL_NAME"],
  ["https://huggingface.co/spaces/org/repo", "E_MODEL_NAME"],
  ["https://huggingface.co/org/repo/discussions", "E_MODEL_NAME"],
  ["https://huggingface.co/org/repo/blob/main/images/a.png", "E_MODEL_NAME"],
  ["https://huggingface.co/org/repo/tree/main/sub", "E_MODEL_NAME"],
  ["http://huggingface.co/org/repo", "E_MODEL_HOST"],
  ["https://example.com/org/repo", "E_MODEL_HOST"],
  ["ftp://huggingface.co/org/repo", "E_MODEL_HOST"],
  ["org/repo@../../x", "E_REVISION"],
  ["org/repo@a b", "E_REVISION"],
])("%j is refused with %s", (text, code) => {
  expect(() => parseModelName(text, options)).toThrow(expect.objectContaining({ code }));
  expect(() => parseModelName(text, options)).toThrow(UsageError);
});

test("the refusal of a bad name lists the accepted forms", () => {
  expect(() => parseModelName("gpt2", options)).toThrow(
    expect.objectContaining({ hint: expect.stringContaining("org/repo") }),
  );
});

test("a revision option fills in, agrees, or is refused when it contradicts the name", () => {
  expect(parseModelName("org/repo", { ...options, revision: "dev" })).toEqual(hub("org/repo", "dev"));
  expect(parseModelName("org/repo@dev", { ...options, revision: "dev" })).toEqual(hub("org/repo", "dev"));
  expect(() => parseModelName("org/repo@main", { ...options, revision: "dev" })).toThrow(
    expect.objectContaining({ code: "E_REVISION_CONFLICT" }),
  );
});
