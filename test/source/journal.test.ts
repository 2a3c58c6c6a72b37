import { expect, test } from "vitest";
import { thisProcess } from "../../src/core/owner.ts";
import { formatHead, formatRanges, parseJournal } from "../../src/source/journal.ts";

const identity = { origin: "org/model@c/model.safetensors", size: 100, hash: "sha256:ab" };
const head = formatHead({ identity, owner: thisProcess(), part: "x.incomplete", etag: '"e"' });

test("a journal is read back as it was written", () => {
  const text =
    head +
    formatRanges([[0, 10]]) +
    formatRanges([
      [20, 30],
      [40, 100],
    ]);
  expect(parseJournal(text)).toEqual({
    identity,
    owner: thisProcess(),
    part: "x.incomplete",
    etag: '"e"',
    ranges: [
      [0, 10],
      [20, 30],
      [40, 100],
    ],
  });
});

test("a line that was torn by a crash counts for nothing", () => {
  const text = head + formatRanges([[0, 10]]) + formatRanges([[20, 30]]).slice(0, -3);
  expect(parseJournal(text)?.ranges).toEqual([[0, 10]]);
});

test.each([
  ["nothing", ""],
  ["no head", "\n"],
  ["another version", head.replace('"version":1', '"version":2')],
  ["garbage", "\0\0\0\0\n"],
  ["a part elsewhere", head.replace("x.incomplete", "../x.incomplete")],
  ["a range beyond the file", head + formatRanges([[0, 101]])],
  ["a backward range", head + formatRanges([[10, 5]])],
  ["zeros in the middle", `${head}\0\0\n${formatRanges([[0, 10]])}`],
])("a journal with %s is worthless", (_name, text) => {
  expect(parseJournal(text)).toBeUndefined();
});
