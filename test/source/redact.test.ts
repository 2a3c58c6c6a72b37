import { expect, test } from "vitest";
import { redactText, redactUrl } from "../../src/source/redact.ts";

test("addresses lose query, fragment and user", () => {
  expect(redactUrl("https://u:p@cdn.example/a/b?X-Signature=secret#x")).toBe("https://cdn.example/a/b");
  expect(redactUrl("not an address?sig=secret")).toBe("not an address");
});

test("texts lose tokens and signed queries", () => {
  const text = 'GET "https://cdn.example/a?sig=secret" with Bearer hf_abcdefgh failed';
  expect(redactText(text)).toBe('GET "https://cdn.example/a" with Bearer … failed');
});
