import { afterEach, describe, expect, it } from "vitest";
import { anySignal } from "../../src/core/any-signal.ts";

const builtIn = AbortSignal.any;
afterEach(() => {
  AbortSignal.any = builtIn;
});

describe.each([
  ["with Node's own", builtIn],
  ["without it, as before Node 20.3", undefined],
])("one signal for several (%s)", (_, any) => {
  it("is aborted by each of them, with its reason", () => {
    Object.assign(AbortSignal, { any });
    for (const chosen of [0, 1]) {
      const controllers = [new AbortController(), new AbortController()];
      const signal = anySignal(controllers.map((one) => one.signal));
      expect(signal.aborted).toBe(false);
      controllers[chosen]?.abort("enough");
      expect(signal).toMatchObject({ aborted: true, reason: "enough" });
    }
  });

  it("is aborted from the beginning where one of them is", () => {
    Object.assign(AbortSignal, { any });
    const signal = anySignal([new AbortController().signal, AbortSignal.abort("before")]);
    expect(signal).toMatchObject({ aborted: true, reason: "before" });
  });
});
