import { expect, test } from "vitest";
import {
  endpointOf,
  hfCacheRoot,
  isOffline,
  mlcHome,
  patienceOf,
  readOnlyBases,
  tempRoot,
} from "../../src/source/environment.ts";

const around = (env: Record<string, string>, platform: NodeJS.Platform = "linux") => ({
  env,
  home: "/home/u",
  platform,
});

test("the MLC home follows MLC_LLM_HOME, then the platform's cache folder", () => {
  expect(mlcHome(around({}))).toBe("/home/u/.cache/mlc_llm");
  expect(mlcHome(around({ XDG_CACHE_HOME: "/x" }))).toBe("/x/mlc_llm");
  expect(mlcHome(around({ XDG_CACHE_HOME: "/x", MLC_LLM_HOME: "/m" }))).toBe("/m");
  expect(mlcHome(around({ LOCALAPPDATA: "/l" }, "win32"))).toBe("/l/mlc_llm");
});

test("read-only bases are split at the platform's separator, empty entries ignored", () => {
  expect(readOnlyBases(around({ MLC_LLM_READONLY_WEIGHT_CACHE: "/a::/b:" }))).toEqual(["/a", "/b"]);
  expect(readOnlyBases(around({ MLC_LLM_READONLY_WEIGHT_CACHE: "C:\\a;D:\\b" }, "win32"))).toEqual([
    "C:\\a",
    "D:\\b",
  ]);
  expect(readOnlyBases(around({}))).toEqual([]);
});

test("the hub cache follows its variables in order, with ~ and variables expanded", () => {
  expect(hfCacheRoot(around({}))).toBe("/home/u/.cache/huggingface/hub");
  expect(hfCacheRoot(around({ XDG_CACHE_HOME: "/x" }))).toBe("/x/huggingface/hub");
  expect(hfCacheRoot(around({ HF_HOME: "~/hf", XDG_CACHE_HOME: "/x" }))).toBe("/home/u/hf/hub");
  expect(hfCacheRoot(around({ HUGGINGFACE_HUB_CACHE: "/old", HF_HOME: "/hf" }))).toBe("/old");
  expect(
    hfCacheRoot(around({ HF_HUB_CACHE: "$DISK/$SUB", DISK: "/d", SUB: "s", HUGGINGFACE_HUB_CACHE: "/old" })),
  ).toBe("/d/s");
});

test("an endpoint is https, or http on this machine, and loses its trailing slashes", () => {
  expect(endpointOf(around({}))).toBe("https://huggingface.co");
  expect(endpointOf(around({ HF_ENDPOINT: "https://mirror.example//" }))).toBe("https://mirror.example");
  expect(endpointOf(around({ HF_ENDPOINT: "http://127.0.0.1:8080" }))).toBe("http://127.0.0.1:8080");
  for (const bad of [
    "http://mirror.example",
    "mirror.example",
    "ftp://x",
    "https://user:secret@mirror.example",
  ]) {
    expect(() => endpointOf(around({ HF_ENDPOINT: bad }))).toThrow(
      expect.objectContaining({ code: "E_ENDPOINT" }),
    );
    expect(() => endpointOf(around({ HF_ENDPOINT: bad }))).not.toThrow(/secret/);
  }
});

test.each(["1", "on", "Yes", "TRUE"])("HF_HUB_OFFLINE=%s switches the network off", (value) => {
  expect(isOffline(around({ HF_HUB_OFFLINE: value }))).toBe(true);
  expect(isOffline(around({ TRANSFORMERS_OFFLINE: value }))).toBe(true);
  expect(isOffline(around({ HF_HUB_OFFLINE: "0" }))).toBe(false);
});

test("time limits come in seconds, ten by default, and nonsense is refused", () => {
  expect(patienceOf(around({}))).toEqual({ hubMs: 10_000, contentMs: 10_000 });
  const set = around({ HF_HUB_ETAG_TIMEOUT: "2.5", HF_HUB_DOWNLOAD_TIMEOUT: "60" });
  expect(patienceOf(set)).toEqual({ hubMs: 2500, contentMs: 60_000 });
  for (const bad of ["0", "-1", "soon", "Infinity"]) {
    expect(() => patienceOf(around({ HF_HUB_ETAG_TIMEOUT: bad }))).toThrow(
      expect.objectContaining({ code: "E_TIMEOUT", message: expect.stringContaining("HF_HUB_ETAG_TIMEOUT") }),
    );
  }
});

test("MLC_TEMP_DIR is a folder, or nothing", () => {
  expect(tempRoot(around({}))).toBe(undefined);
  expect(tempRoot(around({ MLC_TEMP_DIR: "" }))).toBe(undefined);
  expect(tempRoot(around({ MLC_TEMP_DIR: "~/t" }))).toBe("/home/u/t");
});
