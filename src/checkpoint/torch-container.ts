import type { PickleValue } from "./pickle-values.ts";

/** A container that was read: the pickled object, and where each storage's bytes start in the file. */
export interface TorchContainer {
  readonly object: PickleValue;
  /** Storage key → byte offset in the file. */
  readonly storageOffsets: ReadonlyMap<string, number>;
  readonly notices: readonly string[];
}
